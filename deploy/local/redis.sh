# Sourced by deploy/local/servers. Redis (or Valkey, which is the same to us) from the system's package.

redis_dir=$SERVERS_DIR/redis
redis_conf=$redis_dir/redis.conf
redis_pid=$redis_dir/redis.pid
redis_log=$redis_dir/redis.log

redis_command() { command -v redis-"$1" || command -v valkey-"$1"; }
redis_lacks() { redis_command server >/dev/null && redis_command cli >/dev/null || printf 'redis-server '; }
redis_packages="redis-server"
redis_alive() { alive "$redis_pid" "$redis_conf"; }
redis_ready() {
  REDISCLI_AUTH=${SERVERS_REDIS_PASSWORD:-} "$(redis_command cli)" -h 127.0.0.1 \
    -p "$(<"$SERVERS_DIR/redis.port")" ping | grep -qx PONG
}
redis_start() {
  local chosen
  mkdir -p "$redis_dir/data"
  chosen=$(port redis 16379) || return 1
  (
    umask 077
    {
      cat "$HERE/redis/redis.conf"
      echo "port $chosen"
      echo "dir $redis_dir/data"
      [[ -z ${SERVERS_REDIS_PASSWORD:-} ]] || echo "requirepass $SERVERS_REDIS_PASSWORD"
    } >"$redis_conf"
  )
  launch "$redis_pid" "$redis_log" "$(redis_command server)" "$redis_conf"
  redis_wait
}
redis_wait() { await redis "$redis_pid" "$redis_conf" 20 "$redis_log" redis_ready; }
redis_stop() { end "$redis_pid" "$redis_conf" TERM 10; }
redis_kill() { end "$redis_pid" "$redis_conf" KILL 10; }
redis_env() {
  local auth=${SERVERS_REDIS_PASSWORD:+:$SERVERS_REDIS_PASSWORD@}
  echo "RINGFENCE_TEST_REDIS=redis://${auth}127.0.0.1:$(<"$SERVERS_DIR/redis.port")/0"
}
