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

// FuzzRestoreOthers is FuzzRestore for the stores of joins, sessions, versions and buffers: what is accepted is shown, or an error; nothing panics.
func FuzzRestoreOthers(f *testing.F) {
	f.Add([]byte("k\x00\x00\x00\x00\x00\x00\x00\x05\x00\x00\x00\x00\x00\x00\x00\x04"), []byte("value"), int64(7), []byte("key"), []byte(nil))
	f.Add([]byte("\x00\x00\x00\x00\x00\x00\x00\x05\x01k"), []byte("\x01\x00\x00\x00\x01\x00\x00\x00\x02\x01x"), int64(5), []byte("\x00\x00\x00\x00\x00\x00\x00\x05\x01"), []byte(nil))
	f.Add([]byte("\x00\x00\x00\x00\x00\x00\x00\x00\x04a\x00\x00\x00\x01"),
		[]byte("\x00\x00\x00\x00\x00\x00\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01l\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x01A\x00\x00\x00\x00\x00\x00\x00\x00"),
		int64(4), []byte("k"), []byte(nil))
	f.Fuzz(func(t *testing.T, key1, value1 []byte, timestamp int64, key2, value2 []byte) {
		if value1 == nil {
			value1 = []byte{}
		}
		open := func(spec statestore.Spec) statestore.Store {
			p := fuzzRestore(t, spec, timestamp, key1, value1, key2, value2)
			s, err := spec.Open(statestore.Backend{Partition: p})
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
		session := open(statestore.Session("s", serde.Bytes, serde.Bytes).Retain(time.Hour)).(statestore.SessionStore[[]byte, []byte])
		for e, err := range session.All() {
			if err != nil || e.Start < 0 || e.End < e.Start || !bytes.HasPrefix(key1, e.Key) && !bytes.HasPrefix(key2, e.Key) {
				t.Errorf("the session store shows %+v, %v", e, err)
			}
		}
		unmatched := open(statestore.Unmatched("u", serde.Bytes, serde.Bytes, serde.Bytes)).(statestore.UnmatchedStore[[]byte, []byte, []byte])
		for e, err := range unmatched.Oldest() {
			if err != nil || e.Timestamp < 0 || e.Side > statestore.Left {
				t.Errorf("the unmatched store shows %+v, %v", e, err)
			}
		}
		versioned := open(statestore.Versioned("v", serde.Bytes, serde.Bytes, time.Hour)).(statestore.VersionedStore[[]byte, []byte])
		if v, from, found, err := versioned.Get(key1); err != nil || found != (timestamp >= 0 && (!bytes.Equal(key1, key2) || value2 != nil)) || found && (from != timestamp || v == nil) {
			t.Errorf("the versioned store has %x@%d, %v, %v", v, from, found, err)
		}
		grace := open(statestore.GraceBuffer("g", serde.Bytes, serde.Bytes)).(statestore.GraceBufferStore[[]byte, []byte])
		for ok := true; ok; { // a record without a value is Bytes' null, which decodes to an empty one
			e, more, err := grace.Pop(1<<63-1, 0)
			if ok = more; err != nil || ok && len(e.Key) > len(key1)+len(key2) {
				t.Errorf("the grace buffer has %+v, %v", e, err)
				break
			}
		}
		buffer := open(statestore.Buffer("b", serde.Bytes, serde.Bytes)).(statestore.BufferStore[[]byte, []byte])
		for n := buffer.Len(); n > 0; n-- {
			if _, ok, err := buffer.Pop(0); !ok || err != nil {
				t.Errorf("the buffer with %d slots: %v, %v", n, ok, err)
			}
		}
		if buffer.Len() != 0 || buffer.Bytes() != 0 {
			t.Errorf("an empty buffer has %d slots of %d bytes", buffer.Len(), buffer.Bytes())
		}
	})
}
