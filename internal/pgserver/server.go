package pgserver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// ErrNotFound is returned by Find when the machine has no Postgres.
var ErrNotFound = errors.New("pgserver: no Postgres on this machine: install it (apt-get install postgresql, brew install postgresql), or name a server that runs")

// Find returns the folder with the programs of the newest Postgres on this machine.
func Find() (bin string, err error) {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/postgres") // Debian and its family; a constant pattern has no error
	more, _ := filepath.Glob("/usr/pgsql-*/bin/postgres")           // Red Hat's
	brew, _ := filepath.Glob("/opt/homebrew/opt/postgresql*/bin/postgres")
	found = slices.Concat(found, more, brew)
	slices.SortFunc(found, func(a, b string) int { return version(a) - version(b) })
	if len(found) > 0 {
		return filepath.Dir(found[len(found)-1]), nil
	}
	if path, err := exec.LookPath("postgres"); err == nil {
		if path, err = filepath.EvalSymlinks(path); err == nil {
			if _, err := os.Stat(filepath.Join(filepath.Dir(path), "initdb")); err == nil {
				return filepath.Dir(path), nil
			}
		}
	}
	return "", ErrNotFound
}

// version is the first number in a path like /usr/lib/postgresql/15/bin/postgres: the major version, of 9.6 too.
func version(path string) int {
	begin := strings.IndexAny(path, "0123456789")
	if begin < 0 {
		return 0
	}
	digits := path[begin:]
	if end := strings.IndexFunc(digits, func(r rune) bool { return r < '0' || r > '9' }); end >= 0 {
		digits = digits[:end]
	}
	n, _ := strconv.Atoi(digits) // more digits than an int has are no version
	return n
}

// Config says what to start.
type Config struct {
	Bin      string            // folder of the programs; empty to find them
	Dir      string            // an empty folder, or one of an earlier start
	Settings map[string]string // of postgresql.conf, beside those that make a quick and quiet server
}

// Server is a running Postgres. Its methods are for one goroutine.
type Server struct {
	cfg  Config
	port int
	user *syscall.Credential // nil: our own
	cmd  *exec.Cmd
	out  bytes.Buffer
	done chan error
}

// settings make the server quick to start and small; fsync stays on, since what is promised about its data is part of what is shown.
var settings = map[string]string{
	"wal_level": "logical", "max_replication_slots": "8", "max_wal_senders": "8", "listen_addresses": "'127.0.0.1'", "unix_socket_directories": "''",
	"shared_buffers": "64MB", "max_connections": "40", "wal_sender_timeout": "30s", "log_min_messages": "warning", "max_wal_size": "512MB",
	"autovacuum_naptime": "10s", "jit": "off",
}

const (
	startLimit = 60 * time.Second
	stopLimit  = 30 * time.Second
	portTries  = 3 // another program may take a free port first
)

// Start makes a database cluster in the folder, unless there is one, and runs it. When the program runs as root the folder is given to an unprivileged user,
// as Postgres demands.
func Start(ctx context.Context, cfg Config) (*Server, error) {
	if cfg.Bin == "" {
		bin, err := Find()
		if err != nil {
			return nil, err
		}
		cfg.Bin = bin
	}
	s := &Server{cfg: cfg}
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("pgserver: %w", err)
	}
	if os.Geteuid() == 0 {
		if err := s.becomeNobody(); err != nil {
			return nil, err
		}
	}
	if _, err := os.Stat(filepath.Join(cfg.Dir, "PG_VERSION")); errors.Is(err, fs.ErrNotExist) {
		init := s.command(ctx, "initdb", "-D", cfg.Dir, "-U", "millrace", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync", "--no-instructions")
		if text, err := init.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("pgserver: initdb: %w: %s", err, text)
		}
	}
	for try := 1; ; try++ {
		port, err := freePort()
		if err != nil {
			return nil, err
		}
		s.port = port
		if err = s.Run(ctx); err == nil || try == portTries || !strings.Contains(err.Error(), "Address already in use") {
			return s, err
		}
	}
}

// becomeNobody finds an unprivileged user and gives it the folder.
func (s *Server) becomeNobody() error {
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
		gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
		if err := errors.Join(err1, err2); err != nil {
			return fmt.Errorf("pgserver: user %s: %w", name, err)
		}
		s.user = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
		if err := reachable(s.cfg.Dir, name); err != nil {
			return err
		}
		if err := os.Chown(s.cfg.Dir, int(uid), int(gid)); err != nil {
			return fmt.Errorf("pgserver: %w", err)
		}
		return nil
	}
	return errors.New("pgserver: Postgres does not run as root, and there is no user postgres or nobody to run it as")
}

// reachable lets other users pass through the temporary folders above dir that are closed, as test folders are; no folder becomes readable. Folders elsewhere
// stay as they are.
func reachable(dir, name string) error {
	for parent := filepath.Dir(dir); parent != filepath.Dir(parent); parent = filepath.Dir(parent) {
		info, err := os.Stat(parent)
		if err != nil {
			return fmt.Errorf("pgserver: %w", err)
		}
		if info.Mode().Perm()&0o001 == 0 {
			if !strings.HasPrefix(parent, filepath.Clean(os.TempDir())+string(filepath.Separator)) {
				return fmt.Errorf("pgserver: user %s, who runs Postgres since root may not, cannot pass through %s: choose another folder", name, parent)
			}
			if err := os.Chmod(parent, info.Mode().Perm()|0o011); err != nil {
				return fmt.Errorf("pgserver: %w", err)
			}
		}
	}
	return nil
}

func (s *Server) command(ctx context.Context, program string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, filepath.Join(s.cfg.Bin, program), args...)
	cmd.Dir = s.cfg.Dir
	cmd.Env = append(os.Environ(), "LC_ALL=C", "TZ=UTC")
	cmd.SysProcAttr = processAttributes(s.user)
	return cmd
}

// Run starts the server, again after Stop or Kill, at the same address, and waits until it answers.
func (s *Server) Run(ctx context.Context) error {
	args := []string{"-D", s.cfg.Dir, "-p", strconv.Itoa(s.port)}
	all := make(map[string]string)
	for _, from := range []map[string]string{settings, s.cfg.Settings} {
		for k, v := range from {
			all[k] = strings.Trim(v, "'")
		}
	}
	for k, v := range all {
		args = append(args, "-c", k+"="+v)
	}
	s.out.Reset()
	s.cmd = s.command(context.WithoutCancel(ctx), "postgres", args...)
	s.cmd.Stdout, s.cmd.Stderr = &s.out, &s.out
	if err := s.cmd.Start(); err != nil {
		return fmt.Errorf("pgserver: %w", err)
	}
	s.done = make(chan error, 1)
	go func() { s.done <- s.cmd.Wait() }()
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	for {
		conn, err := pgconn.Connect(ctx, s.URL("postgres"))
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case exit := <-s.done:
			s.done <- exit
			return fmt.Errorf("pgserver: postgres ended: %v: %s", exit, s.out.String())
		case <-ctx.Done():
			s.Kill()
			return fmt.Errorf("pgserver: postgres does not answer: %w", err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// URL is where a database of the server is.
func (s *Server) URL(database string) string {
	return fmt.Sprintf("postgres://millrace@127.0.0.1:%d/%s?sslmode=disable", s.port, database)
}

// Stop ends the server: sessions are cut off, what is committed is kept.
func (s *Server) Stop() error { return s.end(syscall.SIGINT) }

// Kill ends the server and its sessions at once, as a crash would.
func (s *Server) Kill() error { return s.end(syscall.SIGQUIT) }

func (s *Server) end(signal syscall.Signal) error {
	if s.cmd == nil {
		return nil
	}
	if err := s.cmd.Process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("pgserver: %w", err)
	}
	select {
	case <-s.done:
	case <-time.After(stopLimit):
		s.cmd.Process.Kill()
		<-s.done
	}
	s.cmd = nil
	return nil
}

func freePort() (int, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("pgserver: %w", err)
	}
	defer ln.Close()
	return ln.Addr().(*net.TCPAddr).Port, nil
}
