-- The constant.
require "common"

function init()
  local text = wrk.format("GET", "/bare")
  request = function() return text end
end
