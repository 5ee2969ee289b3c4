package broker

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"

	"github.com/millrace-io/millrace/broker/internal/api"
)

// fileSender sends sections of files over a TCP connection.
type fileSender struct{ conn syscall.RawConn }

// newFileSender returns nil for a connection that is none of the operating system's.
func newFileSender(c net.Conn) *fileSender {
	t, ok := c.(*net.TCPConn)
	if !ok {
		return nil
	}
	raw, err := t.SyscallConn()
	if err != nil {
		return nil // closed: the write will say so
	}
	return &fileSender{raw}
}

// sends reports whether there is a section among the pieces, and every one is of a file that the operating system knows.
func (s *fileSender) sends(pieces []api.Piece) bool {
	any := false
	for i := range pieces {
		if section := pieces[i].Section; section != nil {
			if _, _, ok := section.FD(); !ok {
				return false
			}
			any = true
		}
	}
	return any
}

// send writes the pieces in order. What comes between sections waits for the bytes behind it, so that it gets no packet of its own.
func (s *fileSender) send(pieces []api.Piece) error {
	for len(pieces) > 0 && pieces[len(pieces)-1].Len() == 0 {
		pieces = pieces[:len(pieces)-1]
	}
	for i := range pieces {
		p := &pieces[i]
		var err error
		if p.Section != nil {
			err = s.file(p)
		} else {
			err = s.bytes(p.Bytes, i+1 < len(pieces))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// file sends a section.
func (s *fileSender) file(p *api.Piece) error {
	fd, pos, _ := p.Section.FD()
	left := p.Section.Len()
	return s.repeat("sendfile", func(socket int) (done bool, err error) {
		n, err := syscall.Sendfile(socket, int(fd), &pos, left)
		if err == nil && n == 0 {
			return false, promised(io.ErrUnexpectedEOF) // the file ends before its batches do
		}
		left -= max(n, 0)
		return left == 0, err
	})
}

// bytes sends b; more says that something follows.
func (s *fileSender) bytes(b []byte, more bool) error {
	if len(b) == 0 {
		return nil
	}
	flags := syscall.MSG_NOSIGNAL
	if more {
		flags |= syscall.MSG_MORE
	}
	return s.repeat("sendmsg", func(socket int) (done bool, err error) {
		n, err := syscall.SendmsgN(socket, b, nil, nil, flags)
		b = b[max(n, 0):]
		return len(b) == 0, err
	})
}

// repeat makes a call until it is done, and waits for the client, within the connection's deadline, when the socket takes no more.
func (s *fileSender) repeat(name string, call func(socket int) (done bool, err error)) error {
	var failed error
	err := s.conn.Write(func(socket uintptr) (goOn bool) {
		for {
			done, err := call(int(socket))
			switch {
			case errors.Is(err, syscall.EAGAIN):
				return false
			case errors.Is(err, syscall.EINTR):
			case err != nil:
				failed = os.NewSyscallError(name, err)
				return true
			case done:
				return true
			}
		}
	})
	if err != nil {
		return err
	}
	return failed
}
