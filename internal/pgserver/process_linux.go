package pgserver

import "syscall"

// processAttributes run a program as another user, and end it when this program dies: a killed test leaves no server behind.
func processAttributes(user *syscall.Credential) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Credential: user, Pdeathsig: syscall.SIGQUIT}
}
