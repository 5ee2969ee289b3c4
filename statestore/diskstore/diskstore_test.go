package diskstore

import (
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/millrace-io/millrace/statestore"
	"github.com/millrace-io/millrace/statestore/storetest"
)

func TestConformance(t *testing.T) {
	storetest.Run(t, func(t testing.TB) statestore.Engine {
		e, err := Open("state", Options{FS: vfs.NewMem(), MemTableBytes: 256 << 10})
		if err != nil {
			t.Fatal(err)
		}
		return e
	})
}

func BenchmarkStores(b *testing.B) {
	storetest.Bench(b, func(b testing.TB) statestore.Engine {
		e, err := Open(b.TempDir(), Options{})
		if err != nil {
			b.Fatal(err)
		}
		return e
	})
}
