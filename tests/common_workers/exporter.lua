local omit = os.getenv("HOME") ~= nil
function handle_request(env)
  out = io.open("/proc/self/fd/1", "a+")
  out:setvbuf("full")
  if env.PATH_INFO ~= '/metrics' then
    out:write("Status: 404 Not Found\r\n", "Server: lua-metrics\r\n", "Content-Type: text/plain\r\n\r\n")
    out:write("ERROR: File Not Found.")
  else
    out:write("Status: 200 OK\r\n", "Content-Type: text/plain; version=0.0.4\r\n\r\n")
    for wanted in env.QUERY_STRING:gmatch("collect[^=]*=([^&]+)") do
      out:write("# TYPE ", wanted, " gauge\n", wanted, " ", tostring(omit), "\n")
    end
  end
  out:flush()
end
if arg ~= nil then
  error("run as a program")
end
