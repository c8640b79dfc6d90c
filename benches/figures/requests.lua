-- wrk script: AuthZEN evaluations; `-- same` sends one again and again, `-- distinct` none twice in a run.
local same, counter = true, 0
local template = '{"subject":{"type":"user","id":"user-%d","properties":{"role":"editor"}},"action":{"name":"write"},"resource":{"type":"record","id":"record-%d","properties":{"status":"active"}}}'
local headers = { ["Content-Type"] = "application/json" }
local token = os.getenv("BENCH_TOKEN")
if token and token ~= "" then headers["Authorization"] = "Bearer " .. token end

function init(args)
  same = args[1] ~= "distinct"
  math.randomseed(os.time())
  counter = math.random(1, 1000000000)
end

function request()
  if not same then counter = counter + 1 end
  return wrk.format("POST", nil, headers, string.format(template, counter, counter))
end
