package statestore_test

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/millrace-io/millrace/statestore"
	"github.com/millrace-io/millrace/statestore/memstore"
	"github.com/millrace-io/millrace/stream/serde"
)

// FuzzRestore plays two arbitrary changelog records into a store of each kind: what is accepted must be readable, nothing may panic.
func FuzzRestore(f *testing.F) {
	f.Add([]byte("key\x00\x00\x00\x00\x00\x00\x00\x05\x00\x00\x00\x00"), []byte("value"), int64(7), []byte("key"), []byte(nil))
	f.Add([]byte("\x7f\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x01"), []byte(""), int64(-1), []byte("\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"), []byte("v"))
	f.Fuzz(func(t *testing.T, key1, value1 []byte, timestamp int64, key2, value2 []byte) {
		if value1 == nil {
			value1 = []byte{}
		}
		kv := statestore.KeyValue("kv", serde.Bytes, serde.Bytes)
		p := fuzzRestore(t, kv, timestamp, key1, value1, key2, value2)
		v, ts, found, err := kv.View([]statestore.Partition{p}).GetWithTime(key1)
		if err != nil || !bytes.Equal(key1, key2) && (!found || ts != timestamp || !bytes.Equal(v, value1)) {
			t.Errorf("restored %x = %x@%d, reads %x@%d, %v, %v", key1, value1, timestamp, v, ts, found, err)
		}
		w := statestore.Window("w", serde.Bytes, serde.Bytes).Retain(time.Hour)
		p = fuzzRestore(t, w, timestamp, key1, value1, key2, value2)
		s, err := w.Open(statestore.Backend{Partition: p})
		if err != nil {
			t.Fatal(err)
		}
		for e, err := range s.(statestore.WindowStore[[]byte, []byte]).All() {
			if err != nil || e.Timestamp != timestamp || !bytes.HasPrefix(key1, e.Key) && !bytes.HasPrefix(key2, e.Key) {
				t.Errorf("the window store shows %+v, %v", e, err)
			}
		}
	})
}

// fuzzRestore plays records; one that is refused is left out.
func fuzzRestore(t *testing.T, spec statestore.Spec, timestamp int64, records ...[]byte) statestore.Partition {
	t.Helper()
	e := memstore.New()
	p, _ := e.Partition(spec.StoreName(), 0)
	r, err := spec.Restore(p)
	b := e.NewBatch()
	for ; len(records) > 0; records = records[2:] {
		_ = r.Add(b, records[0], records[1], timestamp)
	}
	if err := errors.Join(err, r.Seal(b), b.Commit()); err != nil {
		t.Fatal(err)
	}
	return p
}
