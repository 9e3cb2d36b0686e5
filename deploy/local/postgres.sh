# Sourced by deploy/local/servers. PostgreSQL from the system's package. It refuses to run as root:
# then it runs as `postgres` (or `nobody`), and where that user cannot reach the folder, its data lie
# under the temporary folder instead.

postgres_dir=$SERVERS_DIR/postgres
postgres_pid=$postgres_dir/postgres.pid
postgres_log=$postgres_dir/postgres.log
postgres_user=
if ((EUID == 0)); then
  postgres_user=postgres
  id "$postgres_user" >/dev/null 2>&1 || postgres_user=nobody
fi

postgres_command() { # Debian keeps the server's commands off the path, one folder a version
  local found
  found=$(printf '%s\n' /usr/lib/postgresql/*/bin/"$1" | sort -V | tail -n 1)
  [[ -x $found ]] && echo "$found" || command -v "$1"
}
postgres_lacks() { postgres_command initdb >/dev/null && postgres_command psql >/dev/null || printf 'postgresql '; }
postgres_packages="postgresql"
postgres_as() { # as whoever may run it; the working folder must be one that user may enter
  if [[ -n $postgres_user ]]; then (cd / && runuser -u "$postgres_user" -- "$@"); else "$@"; fi
}
postgres_data() {
  if [[ -s $postgres_dir/where ]]; then
    cat "$postgres_dir/where"
  elif postgres_as test -x "$postgres_dir" 2>/dev/null; then
    echo "$postgres_dir/data"
  else
    echo "${TMPDIR:-/tmp}/ringfence-postgres-$(cksum <<<"$postgres_dir" | cut -d' ' -f1)"
  fi
}
postgres_alive() { [[ -s $postgres_dir/where ]] && alive "$postgres_pid" "$(postgres_data)"; }
postgres_ask() { # postgres_ask USER DATABASE STATEMENT; 127.0.0.1 asks for the password
  PGPASSWORD=$(secret postgres) "$(postgres_command psql)" -XAtq -v ON_ERROR_STOP=1 \
    -h 127.0.0.1 -p "$(<"$SERVERS_DIR/postgres.port")" -U "$1" -d "$2" -c "$3"
}
postgres_ready() { [[ $(postgres_ask ringfence postgres 'SELECT 1') == 1 ]]; }

postgres_make() {
  local data=$1 answers
  [[ ! -e $data/PG_VERSION ]] || return 0
  mkdir -p "$data" && chmod 700 "$data" || return 1
  answers=$(mktemp "${TMPDIR:-/tmp}/ringfence-XXXXXX") && secret postgres >"$answers" || return 1
  if [[ -n $postgres_user ]]; then chown "$postgres_user" "$data" "$answers" || return 1; fi
  postgres_as "$(postgres_command initdb)" -D "$data" -U ringfence --pwfile="$answers" \
    --auth=scram-sha-256 --encoding=UTF8 --locale=C.UTF-8 --no-instructions \
    >"$postgres_dir/initdb.log" 2>&1 || { tail -n 5 "$postgres_dir/initdb.log" >&2; rm -f "$answers"; return 1; }
  rm -f "$answers"
  printf "include_if_exists = 'ringfence.conf'\n" >>"$data/postgresql.conf"
}

postgres_start() {
  local data chosen
  mkdir -p "$postgres_dir" && chmod 711 "$postgres_dir"
  data=$(postgres_data)
  postgres_make "$data" && chosen=$(port postgres 15432) || return 1
  echo "$data" >"$postgres_dir/where"
  {
    cat "$HERE/postgres/postgresql.conf"
    echo "port = $chosen"
    echo "unix_socket_directories = ''"
  } >"$data/ringfence.conf"
  if [[ -n $postgres_user ]]; then
    chown "$postgres_user" "$data/ringfence.conf"
    launch "$postgres_pid" "$postgres_log" setpriv --reuid="$postgres_user" \
      --regid="$(id -g "$postgres_user")" --clear-groups "$(postgres_command postgres)" -D "$data"
  else
    launch "$postgres_pid" "$postgres_log" "$(postgres_command postgres)" -D "$data"
  fi
  postgres_wait || return 1
  [[ $(postgres_ask ringfence postgres "SELECT 1 FROM pg_database WHERE datname = 'ringfence'") ]] ||
    postgres_ask ringfence postgres 'CREATE DATABASE ringfence'
}
postgres_wait() { await postgres "$postgres_pid" "$(postgres_data)" 60 "$postgres_log" postgres_ready; }
postgres_stop() { end "$postgres_pid" "$(postgres_data)" INT 30; } # INT: no new sessions, end the open ones
postgres_kill() { end "$postgres_pid" "$(postgres_data)" KILL 10; }
postgres_env() {
  echo "RINGFENCE_TEST_POSTGRES=postgresql://ringfence:$(secret postgres)@127.0.0.1:$(<"$SERVERS_DIR/postgres.port")/ringfence"
}
