-- Work for Lua: strings, tables, numbers, coroutines, errors, files, processes, and a module in C.
local words = {}
for i = 1, 100000 do words[i] = tostring(i) end
print(#table.concat(words), ("%5.3f|%g|%x"):format(math.sin(1), 2 ^ 0.5, 48879))
table.sort(words)
print(words[1], words[2], words[#words], ("banana"):gsub("an", "AN"))
local next_one = coroutine.wrap(function() for i = 1, 3 do coroutine.yield(i * i) end end)
print(next_one(), next_one(), next_one())
print(pcall(error, { code = 1 }) , select(2, pcall(error, "text")))
package.cpath = "./?.so"
local count = require "counter"
print(count(), count(), pcall(require, "nowhere") == false)
local name = os.tmpname()
local file = assert(io.open(name, "w"))
file:write("line one\nline two\n"):close()
for line in io.lines(name) do print(line) end
os.remove(name)
print(io.popen("echo piped"):read("l"), os.execute("exit 3"))
print(os.time { year = 2020, month = 1, day = 1, hour = 12 }, os.date("!%Y-%m-%d", 86400), os.getenv("NOWHERE"))
print(arg[1], arg[2], #arg)
collectgarbage()
os.exit(5, true)
