package frame

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/internal/capture"
)

// recordedBodies calls f with the bodies of the requests that real clients sent.
func recordedBodies(t testing.TB, f func(key, version int16, body []byte)) {
	t.Helper()
	frames, err := capture.Frames()
	if err != nil {
		t.Fatal(err)
	}
	served := map[[2]int16]bool{}
	eachServed(func(key, version int16) { served[[2]int16{key, version}] = true })
	for _, frame := range frames {
		key, version := frame.Key(), frame.Version()
		if !served[[2]int16{key, version}] {
			continue // clients ask for versions of ApiVersions that nobody has yet
		}
		const head = 2 + 2 + 4 // key, version, correlation id
		body := frame[head:]
		if n := int16(binary.BigEndian.Uint16(body)); n > 0 {
			body = body[n:]
		}
		body = body[2:]
		if newRequest(key, version).IsFlexible() {
			if body, err = HeaderTags(body); err != nil {
				t.Fatalf("%s version %d: %v", kmsg.NameForKey(key), version, err)
			}
		}
		f(key, version, body)
	}
}

// TestRequestsOfRealClientsPass: what they send is let through, decoded, and means the same when it is encoded again.
func TestRequestsOfRealClientsPass(t *testing.T) {
	n := 0
	recordedBodies(t, func(key, version int16, body []byte) {
		n++
		memory, err := Check(key, version, body)
		if err != nil {
			t.Errorf("%s version %d of a real client is refused: %v, %x", kmsg.NameForKey(key), version, err, body)
			return
		}
		if took := decode(t, key, version, memory, body); took > memory {
			t.Errorf("%s version %d: decoding took %d bytes of memory, told were %d", kmsg.NameForKey(key), version, took, memory)
		}
		req := newRequest(key, version)
		if err := req.ReadFrom(body); err != nil {
			t.Fatal(err)
		}
		if again := req.AppendTo(nil); !bytes.Equal(again, body) {
			t.Errorf("%s version %d: encoded again it is\n%x, it was\n%x", kmsg.NameForKey(key), version, again, body)
		}
	})
	if n < 50 {
		t.Errorf("%d recorded requests only", n)
	}
}
