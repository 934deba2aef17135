-- The request that every client here sends, and wrk's own figures as one line of JSON.
wrk.method = "POST"
wrk.body = '"' .. string.rep("x", 1022) .. '"'
wrk.headers["Content-Type"] = "application/json"

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '\nJSON {"requests": %d, "failed": %d, "wall_s": %f, "p50_ms": %f, "p99_ms": %f, "p999_ms": %f, "max_ms": %f}\n',
    summary.requests, errors.connect + errors.read + errors.write + errors.status + errors.timeout,
    summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    latency:percentile(99.9) / 1e3, latency.max / 1e3))
end
