package capture

import (
	"embed"
	"encoding/binary"
	"fmt"
	"io/fs"
	"slices"
)

//go:embed testdata/*.frames
var recorded embed.FS

// Frame is a request without its length: key, version, correlation id, client id, body.
type Frame []byte

// Key is the request's API key.
func (f Frame) Key() int16 { return int16(binary.BigEndian.Uint16(f)) }

// Version is the request's version.
func (f Frame) Version() int16 { return int16(binary.BigEndian.Uint16(f[2:])) }

// minFrame is key, version and correlation id: anything shorter is no request.
const minFrame = 8

// Frames returns all recorded requests, in the order of the files' names. The caller owns them.
func Frames() ([]Frame, error) {
	names, err := fs.Glob(recorded, "testdata/*.frames")
	if err != nil {
		return nil, err
	}
	var out []Frame
	for _, name := range names {
		data, err := recorded.ReadFile(name)
		if err != nil {
			return nil, err
		}
		for len(data) > 0 {
			if len(data) < 4 {
				return nil, fmt.Errorf("capture: %s ends within a length", name)
			}
			n := int64(binary.BigEndian.Uint32(data))
			if n < minFrame || n > int64(len(data)-4) {
				return nil, fmt.Errorf("capture: %s: a frame of %d bytes, %d are left", name, n, len(data)-4)
			}
			out = append(out, slices.Clone(data[4:4+n]))
			data = data[4+n:]
		}
	}
	return out, nil
}
