package broker

import "errors"

var (
	// ErrServerClosed is returned by Serve after Shutdown, Close or Kill.
	ErrServerClosed = errors.New("broker: server closed")
	// ErrLocked is returned when another process, or another server of this one, uses the data directory.
	ErrLocked = errors.New("broker: the data directory is in use by another process")
	// ErrNewerFormat is returned when a newer version of the program wrote the data directory.
	ErrNewerFormat = errors.New("broker: the data directory has a newer format than this program knows")
)
