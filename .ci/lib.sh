# What .ci/run and .ci/full share: steps with names and times, and what a new machine lacks.

# step NAME CMD… runs a command, says how long it took, and ends the run when it fails.
step() {
  local name=$1 begin=$SECONDS code=0
  shift
  echo "=== $name"
  "$@" || code=$?
  if ((code != 0)); then
    echo "--- FAIL $name ($((SECONDS - begin)) s, exit code $code)"
    exit 1
  fi
  echo "--- ok   $name ($((SECONDS - begin)) s)"
}

# install_peers brings what the checks need besides Go: Java and Maven for Apache Kafka, kcat, Python and Node.js for clients, Postgres' programs, and a C compiler for the
# race detector.
install_peers() {
  local missing=()
  command -v kcat > /dev/null || missing+=(kcat)
  command -v java > /dev/null || missing+=(openjdk-17-jdk-headless)
  command -v mvn > /dev/null || missing+=(maven)
  python3 -c 'import ensurepip' 2> /dev/null || missing+=(python3 python3-venv)
  command -v npm > /dev/null || missing+=(npm)
  compgen -G '/usr/lib/postgresql/*/bin/postgres' > /dev/null || command -v initdb > /dev/null || missing+=(postgresql)
  command -v gcc > /dev/null || missing+=(gcc libc6-dev)
  ((${#missing[@]})) || return 0
  echo "installing ${missing[*]}"
  local sudo=
  ((EUID == 0)) || sudo=sudo
  $sudo apt-get update -qq
  if [[ ${missing[*]} == *postgresql* ]]; then # the programs only: the tests start servers of their own
    $sudo mkdir -p /etc/postgresql-common
    echo 'create_main_cluster = false' | $sudo tee /etc/postgresql-common/createcluster.conf > /dev/null
  fi
  DEBIAN_FRONTEND=noninteractive $sudo apt-get install -o Dpkg::Options::=--force-confold -y -qq --no-install-recommends "${missing[@]}" > /dev/null
}

formatted() {
  local files
  files=$(git ls-files -z '*.go' | xargs -0 gofmt -l)
  [[ -z $files ]] || { echo "gofmt would change:"; echo "$files"; return 1; }
}

tidy() { go mod tidy -diff; }

# The packages where goroutines meet: the rest is pure, or covered through these.
race_packages=(
  ./broker/... ./runtime/... ./internal/client/... ./internal/memnet/... ./statestore/... ./examples/... ./cmd/...
)
