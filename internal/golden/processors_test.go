package golden_test

import (
	"fmt"
	"slices"
	"time"

	"github.com/millrace-io/millrace/statestore"
	"github.com/millrace-io/millrace/stream"
	"github.com/millrace-io/millrace/stream/serde"
)

// caseRoute sends what passes a test to a child.
type caseRoute struct{ If, To string }

// textRecord is a record of the streams that the processors of cases take and give.
type textRecord = stream.Record[text, text]

// processor is what both kinds of processors have.
type processor interface {
	stream.StoreUser
	Meta() stream.Meta
	StreamTime() int64
	Now() int64
	Drop(stream.DropReason)
	Every(clock stream.Clock, interval time.Duration, f func(now int64) error) func()
	EveryFrom(start time.Time, clock stream.Clock, interval time.Duration, f func(now int64) error) func()
	Forward(r textRecord) error
	ForwardTo(child string, r textRecord) error
}

// body is what a kind of processor does with a record.
type body func(r *textRecord) error

// storeSet are the stores of a processor: its own by kind, and one that it reads.
type storeSet struct {
	rows     *statestore.KeyValueSpec[text, text]
	windows  *statestore.WindowSpec[text, text]
	versions *statestore.VersionedSpec[text, text]
	read     readable
	all      []statestore.Spec
}

// readable is a store that processors can look a key up in.
type readable struct {
	spec statestore.Spec
	get  func(p stream.StoreUser) func(key text) (value string, found bool, err error)
}

func (in *interpreter) process(s streamer, op *caseOp) streamer {
	of, ok := s.(*st[text])
	if !ok || of.kind != str || of.keyKind != str {
		panic("golden: a processor of what is not strings")
	}
	set := in.storesOf(op)
	if op.Op == "processValues" {
		return text2(stream.ProcessValues(of.s, func(p *stream.ValueProcessor[text, text]) func(*textRecord) error {
			return in.body(op, p, set)
		}, set.all...), str)
	}
	return text2(stream.Process(of.s, func(p *stream.Processor[text, text]) func(*textRecord) error {
		return in.body(op, p, set)
	}, set.all...), str)
}

// child is the stream of an operator below a processor that sends records to it by name.
func (in *interpreter) child(s streamer, op *caseOp) streamer {
	above := in.opOf(op.Of)
	if above == nil || !slices.ContainsFunc(above.Routes, func(r caseRoute) bool { return r.To == op.ID }) {
		return s
	}
	return text2(stream.Child(s.(*st[text]).s, op.ID), str)
}

func (in *interpreter) opOf(id string) *caseOp {
	for i := range in.c.Topology {
		if in.c.Topology[i].ID == id {
			return &in.c.Topology[i]
		}
	}
	return nil
}

// storesOf makes the handles of a processor's stores and registers them.
func (in *interpreter) storesOf(op *caseOp) (set storeSet) {
	keys, values := serde.Serde[text](textSerde{str}), serde.Serde[text](textSerde{str})
	if op.Reads != "" {
		set.read = in.readables[op.Reads]
		set.all = append(set.all, set.read.spec)
	}
	if op.Store == "" {
		return set
	}
	switch op.Kind {
	case "versioned":
		set.versions = statestore.Versioned(op.Store, keys, values, ms(op.History))
		set.all = append(set.all, set.versions)
		versionedStore(in, op, set.versions)
	case "distinct":
		set.windows = statestore.Window(op.Store, keys, values).Retain(ms(*op.Retention))
		set.all = append(set.all, set.windows)
		in.plainWindows(op, set.windows)
	default:
		set.rows = statestore.KeyValue(op.Store, keys, values)
		set.all = append(set.all, set.rows)
		named(in, op, set.rows)
		if op.Kind == "dedup" || op.Kind == "counter" {
			in.stores[op.Store] = in.stores[op.Store].timeless()
			in.readables[op.Store] = readableRows(set.rows, false)
		}
	}
	return set
}

// readableRows lets processors look up a store, with the time of what is there or without.
func readableRows[K, V any](spec *statestore.KeyValueSpec[K, V], timed bool) readable {
	return readable{spec: spec, get: func(p stream.StoreUser) func(text) (string, bool, error) {
		rows := stream.ReadStore(p, spec)
		return func(key text) (string, bool, error) {
			k, ok := any(key).(K)
			if !ok {
				skip("a lookup by a windowed key")
			}
			v, ts, found, err := rows.GetWithTime(k)
			if err != nil || !found {
				return "", false, err
			}
			if timed {
				return fmt.Sprintf("%s@%d", valueText(v), ts), true, nil
			}
			return valueText(v).String(), true, nil
		}
	}}
}

// timeless shows the entries of a store that knows no times.
func (r storeReader) timeless() storeReader {
	bare := func(all []storeEntry, err error) ([]storeEntry, error) {
		for i := range all {
			all[i].TS = nil
		}
		return all, err
	}
	return storeReader{
		all:   func(m machine) ([]storeEntry, error) { return bare(r.all(m)) },
		query: func(m machine, s *caseStep) ([]storeEntry, error) { return bare(r.query(m, s)) },
	}
}

// plainWindows registers a window store that knows no times.
func (in *interpreter) plainWindows(op *caseOp, spec *statestore.WindowSpec[text, text]) {
	in.stores[op.Store] = storeReader{
		all: func(m machine) (out []storeEntry, err error) {
			windows, err := view(m, spec)
			if err != nil {
				return nil, err
			}
			for e, err := range windows.All() {
				if err != nil {
					return nil, err
				}
				key := keyText(stream.Windowed[text]{Key: e.Key, Start: e.Start, End: e.Start + op.Within})
				out = append(out, storeEntry{Key: key.ptr(), Value: e.Value.ptr()})
			}
			return out, nil
		},
		query: func(m machine, s *caseStep) (out []storeEntry, err error) {
			windows, err := view(m, spec)
			if err != nil {
				return nil, err
			}
			for e, err := range windows.FetchRange(textOf(s.Key), *s.From, *s.To+1) {
				if err != nil {
					return nil, err
				}
				out = append(out, storeEntry{Key: keyText(e.Key).ptr(), Start: &e.Start, Value: e.Value.ptr()})
			}
			return out, nil
		},
	}
}

// body makes the function of a processor for one task.
func (in *interpreter) body(op *caseOp, p processor, set storeSet) func(*textRecord) error {
	forward := func(r *textRecord) error { return p.Forward(*r) }
	switch op.Kind {
	case "forward":
		return forward
	case "drop":
		return func(*textRecord) error { return nil }
	case "twice":
		return func(r *textRecord) error {
			if err := p.Forward(*r); err != nil {
				return err
			}
			return p.Forward(*r)
		}
	case "swap":
		return func(r *textRecord) error {
			return p.Forward(textRecord{Key: r.Value, Value: r.Key, Timestamp: r.Timestamp, Headers: r.Headers})
		}
	case "header":
		return func(r *textRecord) error { return p.Forward(r.WithHeader(op.Header, []byte(op.With))) }
	case "time":
		at := parseExpr(*op.Value)
		return func(r *textRecord) error {
			x, err := at(r.Key, r.Value)
			if err != nil {
				return err
			}
			out := *r
			out.Timestamp = number(x)
			return p.Forward(out)
		}
	case "meta":
		return func(r *textRecord) error {
			where, m := "null--1@-1", p.Meta()
			if m.Topic != "" { // else a punctuation forwards it
				where = fmt.Sprintf("%s-%d@%d", m.Topic, m.Partition, m.Offset)
			}
			return p.Forward(stream.With(r, toText(fmt.Sprintf("%s stream=%d wall=%d", where, p.StreamTime(), p.Now()))))
		}
	case "route":
		return route(op, p)
	case "dedup":
		return dedup(p, stream.Store(p, set.rows))
	case "counter":
		return counter(p, stream.Store(p, set.rows))
	case "lookup":
		return lookup(p, set.read.get(p))
	case "versioned":
		return putVersion(p, stream.Store(p, set.versions))
	case "distinct":
		return distinct(op, p, stream.Store(p, set.windows))
	case "tick":
		in.schedule(op, p, func(now int64) error {
			return p.Forward(textRecord{Key: toText("tick"), Value: toText(fmt.Sprintf("stream=%d", p.StreamTime())), Timestamp: now})
		})
		return forward
	case "latest", "expire":
		return in.sweeper(op, p, stream.Store(p, set.rows))
	}
	panic("golden: no processor " + op.Kind)
}

func route(op *caseOp, p processor) body {
	type way struct {
		test func(k, v text) (bool, error)
		to   string
	}
	var ways []way
	for _, r := range op.Routes {
		ways = append(ways, way{test: parsePredicate(r.If), to: r.To})
	}
	return func(r *textRecord) error {
		for _, w := range ways {
			ok, err := w.test(r.Key, r.Value)
			if err != nil {
				return err
			}
			if !ok {
				continue
			}
			if err := p.ForwardTo(w.to, *r); err != nil {
				return err
			}
		}
		return nil
	}
}

func dedup(p processor, rows statestore.KeyValueStore[text, text]) body {
	return func(r *textRecord) error {
		was, _, err := rows.Get(r.Key)
		if err == nil && r.ValueNull {
			err = rows.Delete(r.Key, r.Timestamp)
		} else if err == nil {
			err = rows.Put(r.Key, r.Value, r.Timestamp)
		}
		if err != nil || was == r.Value {
			return err
		}
		return p.Forward(*r)
	}
}

func counter(p processor, rows statestore.KeyValueStore[text, text]) body {
	return func(r *textRecord) error {
		was, _, err := rows.Get(r.Key)
		if err != nil {
			return err
		}
		next := toText(fmt.Sprint(number(was) + 1))
		if err := rows.Put(r.Key, next, r.Timestamp); err != nil {
			return err
		}
		return p.Forward(stream.With(r, next))
	}
}

func lookup(p processor, get func(key text) (string, bool, error)) body {
	return func(r *textRecord) error {
		found, ok, err := get(r.Key)
		if err != nil {
			return err
		}
		if !ok {
			found = "null"
		}
		return p.Forward(stream.With(r, toText(spell(r.Value)+"|"+found)))
	}
}

func putVersion(p processor, versions statestore.VersionedStore[text, text]) body {
	return func(r *textRecord) error {
		until, err := versions.Put(r.Key, r.Value, r.Timestamp)
		if err != nil {
			return err
		}
		put := fmt.Sprintf("until %d", until)
		switch until {
		case statestore.NotPut:
			put = "no"
			p.Drop(stream.DropLate)
		case statestore.StillValid:
			put = "latest"
		}
		latest := "none"
		v, ts, found, err := versions.Get(r.Key)
		if err != nil {
			return err
		}
		if found {
			latest = fmt.Sprintf("%s@%d", v, ts)
		}
		return p.Forward(stream.With(r, toText("put="+put+" latest="+latest)))
	}
}

func distinct(op *caseOp, p processor, windows statestore.WindowStore[text, text]) body {
	return func(r *textRecord) error {
		seen := false
		for _, err := range windows.FetchRange(r.Key, max(0, r.Timestamp-op.Within), r.Timestamp+op.Within+1) {
			if err != nil {
				return err
			}
			seen = true
			break
		}
		if _, err := windows.Put(r.Key, r.Timestamp, r.Value, r.Timestamp); err != nil || seen {
			return err
		}
		return p.Forward(*r)
	}
}

// schedule makes the punctuation of a case, which ends by itself after a number of times.
func (in *interpreter) schedule(op *caseOp, p processor, f func(now int64) error) {
	clock := stream.StreamTime
	if op.Clock == "wall" {
		clock = stream.WallClock
	}
	fired := int64(0)
	var cancel func()
	fire := func(now int64) error {
		fired++
		err := f(now)
		if op.Times > 0 && fired >= op.Times {
			cancel()
		}
		return err
	}
	if op.Start != nil {
		cancel = p.EveryFrom(time.UnixMilli(*op.Start), clock, ms(op.Every), fire)
	} else {
		cancel = p.Every(clock, ms(op.Every), fire)
	}
}

// sweeper forwards what it keeps, or what it lets go, at punctuations.
func (in *interpreter) sweeper(op *caseOp, p processor, rows statestore.KeyValueStore[text, text]) body {
	in.schedule(op, p, func(now int64) error {
		var all []statestore.Entry[text, text]
		for e, err := range rows.All() {
			if err != nil {
				return err
			}
			all = append(all, e)
		}
		for _, e := range all {
			out := textRecord{Key: e.Key, Value: e.Value, Timestamp: now}
			if op.Kind == "expire" {
				if e.Timestamp > now-op.TTL {
					continue
				}
				out.Value = text{}
			}
			if err := rows.Delete(e.Key, now); err != nil {
				return err
			}
			if err := p.Forward(out); err != nil {
				return err
			}
		}
		return nil
	})
	return func(r *textRecord) error {
		if err := rows.Put(r.Key, r.Value, r.Timestamp); err != nil || op.Kind == "latest" {
			return err
		}
		return p.Forward(*r)
	}
}
