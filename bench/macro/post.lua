-- wrk: POST with a body of the size given behind `--`
function init(args)
  wrk.method = "POST"
  wrk.body = string.rep("0123456789abcdef", tonumber(args[1]) / 16)
  wrk.headers["Content-Type"] = "application/octet-stream"
end
