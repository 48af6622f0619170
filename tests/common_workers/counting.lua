count = 0
local function note(name)
  return uhttpd.docroot .. "/../" .. name
end
local function exists(name)
  local file = io.open(name)
  return file and file:close()
end
local function pid()
  return io.open("/proc/self/stat"):read("*n")
end
local function append(text)
  local file = io.open(note("ran"), "a")
  file:write(text, "\n")
  file:close()
end
function handle_request(env)
  count = count + 1
  local what = env.QUERY_STRING
  if what == "wait" then
    append("handler")
    while exists(uhttpd.docroot) and not exists(note("go")) do
      os.execute("sleep 0.02")
    end
  end
  if what == "hang" then
    append(pid())
    os.execute("sleep 100")
  end
  if what == "die" then
    os.execute("kill -9 " .. pid())
  end
  if what == "bad" then
    uhttpd.send("no head\n\n")
    return
  end
  uhttpd.send("Status: 200 OK\r\nContent-Type: text/plain\r\nX-Count: " .. count .. "\r\n\r\n")
  if what == "env" then
    local names = {}
    for name in pairs(env) do
      names[#names + 1] = name
    end
    table.sort(names)
    for _, name in ipairs(names) do
      uhttpd.send(name .. "=" .. tostring(env[name]) .. "\n")
    end
    for name, value in pairs(env.headers) do
      uhttpd.send("headers." .. name .. "=" .. value .. "\n")
    end
  end
  if what == "echo" then
    while true do
      local size, piece = uhttpd.recv()
      if size <= 0 then
        break
      end
      uhttpd.send(piece)
    end
  end
  if what == "half" then
    uhttpd.send("half")
    os.execute("kill -9 " .. pid())
  end
  if what == "stderr" then
    io.stderr:write("said \27 this\n")
  end
end
