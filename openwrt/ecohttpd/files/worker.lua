-- Answers one request by a Lua handler of uhttpd (lua_prefix), which is loaded ahead of it: plain Lua can't fork.
--
-- ecohttpd starts `lua worker.lua HANDLER DOCROOT`. "ready" is printed once the handler is loaded. Then the variables of
-- CGI, each ended by a NUL, come from descriptor 3, and the body from standard input. What follows "ready" on standard
-- output is the reply. If descriptor 3 ends without a variable, there is no request.

local handler, docroot = arg[1], arg[2]
-- Handlers that are programs as well see from this that they are not run as one.
arg = nil

local stdin, stdout, stderr = io.stdin, io.stdout, io.stderr

-- The output before the empty line that ends the head. It is sent in one piece, as nobody can use a part of it.
local head = ""

local function write(text)
  stdout:write(text)
  stdout:flush()
end

local function send(text)
  if type(text) ~= "string" and type(text) ~= "number" then
    error("bad argument #1 to 'send' (string expected)", 2)
  end
  text = tostring(text)
  if not head then
    write(text)
  else
    head = head .. text
    if head:find("\r?\n\r?\n") then
      write(head)
      head = nil
    end
  end
  return #text
end

uhttpd = {
  send = send,
  sendc = send,
  docroot = docroot,

  recv = function(size)
    local piece = stdin:read(size or 8192)
    if not piece then
      return 0
    end
    return #piece, piece
  end,

  urlencode = function(text)
    return (text:gsub("[^%w_.~-]", function(char)
      return ("%%%02x"):format(char:byte())
    end))
  end,

  urldecode = function(text)
    if (text .. "  "):find("%%[^%x]") or (text .. "  "):find("%%%x[^%x]") then
      error("malformed string on URL conversion", 2)
    end
    return (text:gsub("%%(%x%x)", function(code)
      return string.char(tonumber(code, 16))
    end))
  end,
}

-- What is printed while the handler is loaded goes to the log.
local put = function(text)
  stderr:write(text)
end

function print(...)
  local words = {}
  for n = 1, select("#", ...) do
    words[n] = tostring((select(n, ...)))
  end
  put(table.concat(words, "\t") .. "\n")
end

local function give_up(reason)
  stderr:write(tostring(reason), "\n")
  os.exit(1)
end

-- The variables as uhttpd names them, and the fields of the request.
local function environment(variables)
  local env, headers = {}, {}
  for name, value in variables:gmatch("(%Z-)=(%Z*)%z") do
    env[name] = value
    local field = name:match("^HTTP_(.*)") or name:match("^CONTENT_.*")
    if field and field ~= "AUTH_USER" and field ~= "AUTH_PASS" then
      headers[field:lower():gsub("_", "-")] = value
    end
  end
  headers.URL = env.REQUEST_URI
  env.HTTP_VERSION = env.SERVER_PROTOCOL == "HTTP/1.0" and 1.0 or 1.1
  env.headers = headers
  return env
end

io.output(stderr)
local code, wrong = loadfile(handler)
if not code then
  give_up(wrong)
end
local loaded, failure = pcall(code)
if not loaded then
  give_up(failure)
end
if type(handle_request) ~= "function" then
  give_up("no function handle_request")
end

write("ready\n")
local source = io.open("/proc/self/fd/3")
local variables = source and source:read("*a") or ""
if variables == "" then
  os.exit(0)
end
source:close()

io.output(stdout)
put = send
local done, trouble = pcall(handle_request, environment(variables))
if not done then
  stderr:write(tostring(trouble), "\n")
  if head then
    head = "Status: 500 Internal Server Error\r\nContent-Type: text/plain\r\n\r\nThe handler failed.\n"
  end
end
if head then
  write(head)
end
