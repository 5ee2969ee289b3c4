package statestore

// sweep removes what has expired from a store whose engine does not know times: with each commit it looks at some entries, and goes on there with the next.
//
// We considered an index by time in the engine. It doubles the writes of every put, and a store could not begin or cease to expire without being filled anew.
type sweep struct {
	next []byte // the key to go on with; nil is the first
}

// A commit looks at sweepPerChange entries for each change it makes, so that a store that grows is swept faster than it grows, and at sweepLeast at least.
const (
	sweepPerChange = 2
	sweepLeast     = 64
)

// run adds deletions to a batch.
func (s *sweep) run(c *core, b Batch) error {
	it, err := c.partition.Scan(s.next, nil, false)
	if err != nil {
		return c.fail("scan", err)
	}
	left := sweepLeast + sweepPerChange*c.table.StagedLen()
	for it.Next() {
		if left--; left < 0 {
			s.next = append(s.next[:0], it.Key()...)
			break
		}
		if v := it.Value(); len(v) >= timestampBytes && c.expired(v) {
			if err := b.Delete(c.partition, it.Key()); err != nil {
				it.Close()
				return c.fail("stage", err)
			}
		}
	}
	if left >= 0 {
		s.next = nil
	}
	if err := it.Close(); err != nil {
		return c.fail("scan", err)
	}
	return nil
}
