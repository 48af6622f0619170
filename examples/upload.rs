//! A form that uploads a file and shows its progress. Files are stored in a new folder below the temp folder.
//!
//! ```sh
//! cargo run --release --example upload           # or: ... upload 127.0.0.1:0, a free port
//! curl -F file=@Cargo.toml http://127.0.0.1:8080/upload
//! ```
//!
//! <http://127.0.0.1:8080/> shows the form; the reply has the name and size of the file.
//! The file is written as it arrives: a gigabyte takes no more memory than a kilobyte.

use std::fs::{self, File};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use ecohttpd::{Connection, Disposition, FormEvent, Options, Request, Result, Server};

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let addr = std::env::args().nth(1);
    let addr: SocketAddr = addr.as_deref().unwrap_or("127.0.0.1:8080").parse()?;

    // Only we can enter it. It must be new: others can write to the temp folder, too, so a name
    // that exists may be a trap.
    let folder = std::env::temp_dir().join(format!("upload-{}", std::process::id()));
    fs::DirBuilder::new().mode(0o700).create(&folder)?;
    println!("storing in {}", folder.display());

    let handler = async move |con: &mut Connection, req: &mut Request| match (req.method(), req.path()) {
        ("GET" | "HEAD", "/") => page(con, FORM).await,
        ("POST", "/upload") => upload(con, req, &folder).await,
        _ => con.send_error(404, None, "not found\n").await,
    };
    // A larger body is refused with 413.
    let options = Options::new().max_body(1 << 30);
    let mut server = Server::new(options, handler)?;
    let bound = server.bind(addr.ip().to_string().as_str(), addr.port())?;
    println!("listening on http://{bound}");
    Ok(server.run()?)
}

/// Stores each file of the form, and answers with the list of them.
async fn upload(con: &mut Connection, req: &mut Request, folder: &Path) -> Result<()> {
    let mut report = String::new();
    let mut part: Option<Upload> = None;
    // The form comes as a stream of events: headers of a part, pieces of its body, the end.
    loop {
        match con.read_formdata(req, None).await? {
            FormEvent::Header { name, value } => {
                // Only parts with a file name are files; `file_name` made it a harmless one.
                if name.eq_ignore_ascii_case("content-disposition")
                    && let Some(name) = file_name(&value)
                {
                    part = Some(Upload::create(folder, &name)?);
                }
            }
            FormEvent::Body { data, done } => {
                // This writes to the page cache, in small pieces; a handler for a slow disk
                // would hand them to a thread, since all clients share this one.
                if let Some(part) = &mut part {
                    part.write(&data)?;
                }
                if done && let Some(part) = part.take() {
                    report += &part.keep();
                }
            }
            FormEvent::End => break,
        }
    }
    if report.is_empty() {
        return con.send_error(400, None, "no file in the form\n").await;
    }
    page(con, &report).await
}

/// A file that is deleted again unless it was kept.
///
/// When the client goes away half-way, `read_formdata` is an error, and if the connection is cut
/// the handler's future is dropped: either way `Drop` runs, and no torso is left.
struct Upload {
    file: File,
    path: PathBuf,
    name: String,
    size: u64,
    kept: bool,
}

impl Upload {
    /// Opens a new file: never one that exists, so nothing is overwritten.
    fn create(folder: &Path, name: &str) -> io::Result<Self> {
        let mut n = 1;
        let mut path = folder.join(name);
        loop {
            match File::create_new(&path) {
                Ok(file) => {
                    return Ok(Self { file, path, name: name.to_owned(), size: 0, kept: false });
                }
                Err(err) if err.kind() == io::ErrorKind::AlreadyExists => {
                    n += 1;
                    path = folder.join(format!("{n}-{name}"));
                }
                Err(err) => return Err(err),
            }
        }
    }

    fn write(&mut self, data: &[u8]) -> io::Result<()> {
        self.file.write_all(data)?;
        self.size += data.len() as u64;
        Ok(())
    }

    /// Keeps the file; returns a line of HTML about it.
    fn keep(mut self) -> String {
        self.kept = true;
        format!("<p>{}: {} bytes</p>\n", escape(&self.name), self.size)
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if !self.kept {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// The file name in a `content-disposition`, made safe to create in a folder.
///
/// The client chose it: whatever could leave the folder, hide the file, or surprise a shell goes.
fn file_name(disposition: &str) -> Option<String> {
    let name = Disposition::parse(disposition).filename?;
    let name = name.rsplit(['/', '\\']).next()?;
    let name: String = name
        .trim_start_matches('.')
        .chars()
        .map(|c| if c.is_alphanumeric() || ".-_".contains(c) { c } else { '_' })
        .take(MAX_NAME)
        .collect();
    Some(if name.is_empty() { "unnamed".to_owned() } else { name })
}

/// Text as HTML: a rule of the page that holds whatever `file_name` lets through.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

async fn page(con: &mut Connection, body: &str) -> Result<()> {
    con.add_header("Content-Type", "text/html; charset=utf-8")?;
    con.send(body).await
}

/// Characters of a file name: at 4 bytes each, with a number before it, within the 255 of most file systems.
const MAX_NAME: usize = 48;

const FORM: &str = r#"<!doctype html>
<meta charset="utf-8">
<title>upload</title>
<form action="/upload" method="post" enctype="multipart/form-data">
  <input type="file" name="file" multiple required>
  <button>Upload</button>
  <progress value="0" max="1" hidden></progress>
  <output></output>
</form>
<script>
  // The form works without this; `fetch` cannot tell how far an upload is, XMLHttpRequest can.
  const form = document.querySelector("form");
  const bar = form.querySelector("progress");
  const output = form.querySelector("output");
  form.onsubmit = event => {
    event.preventDefault();
    const xhr = new XMLHttpRequest();
    xhr.upload.onprogress = e => bar.value = e.loaded / e.total;
    xhr.onload = () => output.innerHTML = xhr.responseText;
    xhr.onerror = () => output.textContent = "the upload failed";
    xhr.open("POST", form.action);
    xhr.send(new FormData(form));
    bar.hidden = false;
  };
</script>
"#;
