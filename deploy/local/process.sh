# Sourced by deploy/local/servers: what the four servers have in common. No server is named here.
# A server is a process with a pid file; it is ours only if its command line holds the marker
# (a path under our own folder), so a pid that the system gave to somebody else is never signalled.

say() { printf '%-9s %s\n' "$1" "$2" >&2; }

alive() { # alive PID_FILE MARKER: the pid file names a live process one of whose arguments is MARKER
  [[ -s $1 ]] && tr '\0' '\n' 2>/dev/null <"/proc/$(<"$1")/cmdline" | grep -qxF -- "$2"
}

taken() { (: <"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# port NAME DEFAULT: the port to start on. SERVERS_<NAME>_PORT says which; without it the last one,
# or the default, or (when that is somebody else's) a free one. The answer is kept.
port() {
  local file=$SERVERS_DIR/$1.port asked=SERVERS_${1^^}_PORT
  asked=${asked//-/_}
  local want=${!asked:-} before=
  [[ -s $file ]] && before=$(<"$file")
  # What was killed may hold its port for a moment longer than it lives.
  local until=$((SECONDS + 5))
  while [[ -n $before && ${want:-$before} == "$before" ]] && taken "$before" && ((SECONDS < until)); do
    sleep 0.2
  done
  if [[ -n $want ]]; then
    taken "$want" && { say "$1" "port $want ($asked) is taken"; return 1; }
  else
    want=${before:-$2}
    local tries=0
    while taken "$want"; do
      ((++tries <= 50)) || { say "$1" "no free port in 50 tries"; return 1; }
      want=$((20000 + RANDOM % 10000))
    done
  fi
  echo "$want" >"$file"
  echo "$want"
}

secret() { # secret NAME: a password made once, from letters and digits so that any URL may hold it
  local file=$SERVERS_DIR/secrets/$1
  [[ -s $file ]] || (umask 077 && od -An -N24 -tx1 /dev/urandom | tr -d ' \n' >"$file")
  cat "$file"
}

lacking() { # lacking COMMAND...: those of them that this machine has not
  local each
  for each in "$@"; do command -v "$each" >/dev/null 2>&1 || printf '%s ' "$each"; done
}

# launch PID_FILE LOG COMMAND...: start it so that it outlives this shell and keeps none of its locks
launch() {
  local pid_file=$1 log=$2
  shift 2
  [[ ! -e $log ]] || mv -f "$log" "$log.before"
  setsid nohup "$@" >"$log" 2>&1 </dev/null 8>&- 9>&- &
  echo $! >"$pid_file"
}

# await NAME PID_FILE MARKER SECONDS LOG CHECK...: until CHECK succeeds; on death or time-out, the log
await() {
  local name=$1 pid_file=$2 marker=$3 until=$((SECONDS + $4)) log=$5
  shift 5
  sleep 0.2
  until "$@" >/dev/null 2>&1; do
    if ! alive "$pid_file" "$marker"; then
      say "$name" "died while starting; its log ($log) ends:"
    elif ((SECONDS >= until)); then
      say "$name" "does not answer in time; its log ($log) ends:"
    else
      sleep 0.2
      continue
    fi
    tail -n 15 "$log" | cut -c1-300 >&2
    return 1
  done
}

# end PID_FILE MARKER SIGNAL SECONDS: ask it to end, then make it
end() {
  local pid
  if alive "$1" "$2"; then
    pid=$(<"$1")
    kill -"$3" "$pid" 2>/dev/null
    local until=$((SECONDS + $4))
    while alive "$1" "$2"; do
      if ((SECONDS >= until)); then
        kill -KILL "$pid" 2>/dev/null
        until=$((SECONDS + 10))
      fi
      sleep 0.1
    done
  fi
  rm -f "$1"
}
