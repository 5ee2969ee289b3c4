package memstore

import (
	"testing"

	"github.com/millrace-io/millrace/statestore"
	"github.com/millrace-io/millrace/statestore/storetest"
)

func TestConformance(t *testing.T) {
	storetest.Run(t, func(testing.TB) statestore.Engine { return New() })
}

func BenchmarkStores(b *testing.B) {
	storetest.Bench(b, func(testing.TB) statestore.Engine { return New() })
}
