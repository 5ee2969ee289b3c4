package proctest

import (
	"errors"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// Deadline is when a process that should have ended by itself is taken for stuck.
const Deadline = 3 * time.Minute

// Process is a child that runs in the background.
type Process struct {
	Stdout *Output
	Stderr *Output
	Exited chan struct{} // closed when the process has ended

	name string
	cmd  *exec.Cmd
	err  error // of Wait; valid once Exited is closed
}

// Launch starts a program with arguments; it is killed at the end of the test at the latest.
func Launch(t testing.TB, program string, args ...string) *Process {
	t.Helper()
	p := &Process{
		name: program, cmd: exec.Command(filepath.Join(programs(t), program), args...),
		Stdout: newOutput(), Stderr: newOutput(), Exited: make(chan struct{}),
	}
	p.cmd.Stdout, p.cmd.Stderr = p.Stdout, p.Stderr
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.Exited)
	}()
	t.Cleanup(func() { p.Kill() })
	return p
}

// Kill ends the process as a crash would, and returns when it is gone.
func (p *Process) Kill() {
	p.Signal(syscall.SIGKILL)
	<-p.Exited
}

// Signal sends a signal; a process that has ended does not mind.
func (p *Process) Signal(s syscall.Signal) {
	_ = p.cmd.Process.Signal(s)
}

// Pid is the process's number.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// WaitFor returns true when the process ends within d.
func (p *Process) WaitFor(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-p.Exited:
		return true
	case <-timer.C:
		return false
	}
}

// Succeeded fails the test unless the process has ended with exit code 0.
func (p *Process) Succeeded(t testing.TB) {
	t.Helper()
	if !p.WaitFor(Deadline) {
		p.Signal(syscall.SIGQUIT) // the stacks of its goroutines tell what it waits for
		<-p.Exited
		t.Fatalf("%s did not end within %v\nstdout: %s\nstderr: %s", p.name, Deadline, p.Stdout, p.Stderr)
	}
	if p.err != nil {
		t.Fatalf("%s: %v\nstdout: %s\nstderr: %s", p.name, p.err, p.Stdout, p.Stderr)
	}
}

// Stopped fails the test unless the process, which was killed or asked to stop, has ended for that reason or was done before.
func (p *Process) Stopped(t testing.TB) {
	t.Helper()
	if !p.WaitFor(Deadline) {
		p.Signal(syscall.SIGQUIT)
		<-p.Exited
		t.Fatalf("%s did not stop\nstderr: %s", p.name, p.Stderr)
	}
	var exit *exec.ExitError
	if p.err == nil || errors.As(p.err, &exit) && (exit.ExitCode() == -1 || exit.ExitCode() == ExitInterrupted) {
		return
	}
	t.Fatalf("%s: %v\nstdout: %s\nstderr: %s", p.name, p.err, p.Stdout, p.Stderr)
}

// ExitInterrupted is how the word count says that it was stopped before its end.
const ExitInterrupted = 130
