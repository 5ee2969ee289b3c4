package capture

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"testing"
)

func TestFramesAreWhole(t *testing.T) {
	frames, err := Frames()
	if err != nil {
		t.Fatal(err)
	}
	keys := map[int16]bool{}
	for _, f := range frames {
		if len(f) > maxFrame || f.Key() < 0 || f.Version() < 0 {
			t.Errorf("a frame of %d bytes with key %d, version %d", len(f), f.Key(), f.Version())
		}
		keys[f.Key()] = true
	}
	if len(keys) < 20 {
		t.Errorf("the recordings have %d kinds of requests only", len(keys))
	}
}

// frame makes a request whose body has n bytes.
func frame(key, version int16, n int) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(minFrame+n))
	b = binary.BigEndian.AppendUint16(b, uint16(key))
	b = binary.BigEndian.AppendUint16(b, uint16(version))
	return append(binary.BigEndian.AppendUint32(b, 1), make([]byte, n)...)
}

func TestTheProxyPassesAllOnAndKeepsSome(t *testing.T) {
	server, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	got := make(chan []byte, 1)
	go func() {
		c, err := server.Accept()
		if err != nil {
			got <- nil
			return
		}
		defer c.Close()
		all, _ := io.ReadAll(c)
		got <- all
	}()
	p, err := Listen()
	if err != nil {
		t.Fatal(err)
	}
	go p.Serve(server.Addr().String())
	c, err := net.Dial("tcp", p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	var sent []byte
	for _, f := range [][]byte{
		frame(3, 1, 100), frame(3, 1, 105), frame(3, 1, 200), frame(3, 1, 300), frame(3, 1, 400), // the second and the last are not kept
		frame(3, 2, 0), frame(0, 9, maxFrame), // the last is too large
	} {
		sent = append(sent, f...)
	}
	if _, err := c.Write(sent); err != nil {
		t.Fatal(err)
	}
	c.Close()
	if all := <-got; !bytes.Equal(all, sent) {
		t.Errorf("%d bytes came through of %d", len(all), len(sent))
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	var want []byte
	for _, f := range [][]byte{frame(3, 1, 100), frame(3, 1, 200), frame(3, 1, 300), frame(3, 2, 0)} {
		want = append(want, f...)
	}
	if kept := p.Recording.Bytes(); !bytes.Equal(kept, want) {
		t.Errorf("%d bytes were kept, want %d", len(kept), len(want))
	}
}
