"""The rules as one script for Redis: a whole batch of operations on any keys' accounts, atomically, by its clock.

`rules.py` says the same in Python, and a test holds the two against each other. An account lies in

    ultra:limits:KEY            hash: `at` (the second it was last moved to), `last` (the last one charged), the
                                sums `requests` and `tokens`, and what they are made of: `r1732…`, `t1732…`
    ultra:limits:KEY:leases     sorted set: lease, when it expires
    ultra:limits:KEY:held       hash: lease, what it holds of the budget; `sum` of them all
    ultra:limits:KEY:spent:…    what the period has cost so far

and each of these goes of itself when nobody asks any more.
"""

from common.admission.operations import LEASE_MILLISECONDS, WINDOW_SECONDS

PREFIX = "ultra:limits:"

# Longer than what they hold counts.
WINDOW_LIFE_SECONDS = 2 * WINDOW_SECONDS + 10
LEASES_LIFE_SECONDS = 2 * LEASE_MILLISECONDS // 1000
SPENT_LIFE_SECONDS = 40 * 86_400

_FIGURES = f"""
local PREFIX, WINDOW, LEASE = '{PREFIX}', {WINDOW_SECONDS}, {LEASE_MILLISECONDS}
local WINDOW_LIFE, LEASES_LIFE, SPENT_LIFE = {WINDOW_LIFE_SECONDS}, {LEASES_LIFE_SECONDS}, {SPENT_LIFE_SECONDS}
"""

# Lua prints large numbers as 1e+15, which Redis does not take for one: hence `whole`.
_RULES = """
local NOTHING, REQUESTS, TOKENS, PARALLEL, BUDGET = 0, 1, 2, 3, 4

local clock = redis.call('TIME')
local now = tonumber(ARGV[2]) or clock[1] * 1000 + math.floor(clock[2] / 1000)

local function whole(number) return string.format('%.0f', number) end

-- The account as of now: seconds that left the window are dropped. A clock set back stands still meanwhile.
local function open(key)
  local slot = math.floor(now / 1000)
  local found = redis.call('HMGET', key, 'at', 'last', 'requests', 'tokens')
  local at = tonumber(found[1]) or slot
  local account = {key = key, last = tonumber(found[2]) or 0,
                   requests = tonumber(found[3]) or 0, tokens = tonumber(found[4]) or 0}
  account.slot = math.max(slot, at)
  if account.slot > at then
    local gone = {}
    for old = at - WINDOW, math.min(account.slot - WINDOW - 1, at) do
      gone[#gone + 1] = 'r' .. old
      gone[#gone + 1] = 't' .. old
    end
    local amounts = redis.call('HMGET', key, unpack(gone))
    for i = 1, #gone, 2 do
      account.requests = account.requests - (tonumber(amounts[i]) or 0)
      account.tokens = account.tokens - (tonumber(amounts[i + 1]) or 0)
    end
    redis.call('HDEL', key, unpack(gone))
    redis.call('HSET', key, 'at', account.slot, 'requests', whole(account.requests), 'tokens', whole(account.tokens))
    redis.call('EXPIRE', key, WINDOW_LIFE)
  end
  return account
end

local function charge(account, requests, tokens)
  if requests > 0 then
    redis.call('HINCRBY', account.key, 'r' .. account.slot, requests)
    account.requests = redis.call('HINCRBY', account.key, 'requests', requests)
  end
  if tokens > 0 then
    redis.call('HINCRBY', account.key, 't' .. account.slot, whole(tokens))
    account.tokens = redis.call('HINCRBY', account.key, 'tokens', whole(tokens))
  end
  account.last = account.slot
  redis.call('HSET', account.key, 'at', account.slot, 'last', account.slot)
  redis.call('EXPIRE', account.key, WINDOW_LIFE)
end

local function let_go(key, lease)
  if redis.call('ZREM', key .. ':leases', lease) == 1 then
    local held = tonumber(redis.call('HGET', key .. ':held', lease)) or 0
    redis.call('HDEL', key .. ':held', lease)
    redis.call('HINCRBY', key .. ':held', 'sum', whole(0 - held))
  end
end

local function hold(key, lease, cost)
  let_go(key, lease)
  redis.call('ZADD', key .. ':leases', now + LEASE, lease)
  redis.call('HSET', key .. ':held', lease, whole(cost))
  redis.call('HINCRBY', key .. ':held', 'sum', whole(cost))
  redis.call('EXPIRE', key .. ':leases', LEASES_LIFE)
  redis.call('EXPIRE', key .. ':held', LEASES_LIFE)
end

local function drop_expired(key)
  for _, lease in ipairs(redis.call('ZRANGEBYSCORE', key .. ':leases', '-inf', now)) do let_go(key, lease) end
end

local function wait(account, kind, excess)
  for slot = account.slot - WINDOW, account.slot do
    excess = excess - (tonumber(redis.call('HGET', account.key, kind .. slot)) or 0)
    if excess <= 0 then return (slot + WINDOW + 1) * 1000 - now end
  end
  return (WINDOW + 1) * 1000
end

local function is_over(used, more, limit) return limit >= 0 and used + more > limit end
local function left(limit, used) return limit < 0 and -1 or math.max(limit - used, 0) end

local function reset(account, counted)
  return counted > 0 and math.max((account.last + WINDOW + 1) * 1000 - now, 0) or 0
end

local function spent(key, op)
  local name = key .. ':spent:' .. op.period
  local known = tonumber(redis.call('GET', name)) or 0
  if op.spent > known then
    redis.call('SET', name, whole(op.spent), 'EX', SPENT_LIFE)
    known = op.spent
  end
  return known + (tonumber(redis.call('HGET', key .. ':held', 'sum')) or 0)
end

local operations = {}

function operations.reserve(key, op)
  local account, refused_by, waiting = open(key), NOTHING, 0
  local has_lease = op.parallel_limit >= 0 or op.budget >= 0
  if has_lease then drop_expired(key) end
  if op.budget >= 0 and op.cost > 0 and is_over(spent(key, op), op.cost, op.budget) then
    refused_by = BUDGET
  elseif is_over(account.requests, 1, op.requests_limit) then
    refused_by, waiting = REQUESTS, wait(account, 'r', account.requests + 1 - op.requests_limit)
  elseif is_over(account.tokens, op.tokens, op.tokens_limit) then
    refused_by, waiting = TOKENS, wait(account, 't', account.tokens + op.tokens - op.tokens_limit)
  elseif op.parallel_limit >= 0 and is_over(redis.call('ZCARD', key .. ':leases'), 1, op.parallel_limit) then
    refused_by = PARALLEL
  else
    charge(account, op.requests_limit >= 0 and 1 or 0, op.tokens_limit >= 0 and op.tokens or 0)
    if has_lease then hold(key, op.lease, op.cost) end
  end
  return {refused_by, waiting, left(op.requests_limit, account.requests), reset(account, account.requests),
          left(op.tokens_limit, account.tokens), reset(account, account.tokens), account.slot}
end

function operations.settle(key, op)
  if op.tokens > 0 then
    charge(open(key), 0, op.tokens)
  elseif op.tokens < 0 then
    open(key)
    local there = tonumber(redis.call('HGET', key, 't' .. op.slot)) or 0
    local returned = math.min(-op.tokens, there)
    if returned > 0 then
      redis.call('HINCRBY', key, 't' .. op.slot, '-' .. whole(returned))
      redis.call('HINCRBY', key, 'tokens', '-' .. whole(returned))
    end
  end
  let_go(key, op.lease)
  if op.cost > 0 then
    redis.call('INCRBY', key .. ':spent:' .. op.period, whole(op.cost))
    redis.call('EXPIRE', key .. ':spent:' .. op.period, SPENT_LIFE)
  end
  return {}
end

function operations.renew(key, op)
  hold(key, op.lease, op.cost)
  return {}
end

local answers = {}
for i, op in ipairs(cjson.decode(ARGV[1])) do answers[i] = operations[op.op](PREFIX .. op.key, op) end
return answers
"""
SCRIPT = _FIGURES + _RULES
