package postgres

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
)

// A table with odd names, in odd schemas, has a topic of its own with a name that Kafka takes, and goes on after a restart.
func TestEveryNameHasItsOwnTopic(t *testing.T) {
	w := newWorld(t, sharedServer(t), `CREATE SCHEMA "a.b"; CREATE SCHEMA a; CREATE SCHEMA "Ä /x";
		CREATE TABLE "a.b".c (id int PRIMARY KEY, "The ""Value""" text); CREATE TABLE a."b.c" (id int PRIMARY KEY, "The ""Value""" text);
		CREATE TABLE "Ä /x"."Ord""ers" (id int PRIMARY KEY, "The ""Value""" text); CREATE TABLE a."b-2ec" (id int PRIMARY KEY, "The ""Value""" text)`)
	names := []tableName{{"a.b", "c"}, {"a", "b.c"}, {"Ä /x", `Ord"ers`}, {"a", "b-2ec"}}
	cfg := w.config("*.*")
	for round := range 2 {
		for i, name := range names {
			w.exec(fmt.Sprintf("INSERT INTO %s VALUES (%d, 'value %d')", name.quoted(), round, i))
		}
		r := w.run(cfg)
		w.caughtUp(r)
		for i, name := range names {
			w.exec(fmt.Sprintf("UPDATE %s SET \"The \"\"Value\"\"\" = 'changed %d' WHERE id = %d", name.quoted(), i, round))
		}
		w.caughtUp(r)
		if err := r.stop(); err != nil {
			t.Fatal(err)
		}
		for i, name := range names {
			topic := strings.TrimPrefix(r.source.TopicOf(name.schema, name.table), w.name+".")
			want := map[string]string{}
			for id := range round + 1 {
				want[fmt.Sprintf(`{"id":%d}`, id)] = fmt.Sprintf(`{"id":%d,"The \"Value\"":"changed %d"}`, id, i)
			}
			w.wantState(topic, want)
			if n := len(w.records(topic)); n != 2*(round+1) { // no second snapshot
				t.Errorf("topic %s has %d records", topic, n)
			}
		}
	}
}

func TestTopicNamesAreLegalAndToldApart(t *testing.T) {
	s := &Source{cfg: Config{Name: "n"}}
	seen := map[string]tableName{}
	for _, name := range []tableName{{"public", "orders"}, {"a", "b.c"}, {"a.b", "c"}, {"a-2eb", "c"}, {"public", "Ünï x"}, {"public", `/"%`}} {
		topic := s.TopicOf(name.schema, name.table)
		if other, taken := seen[topic]; taken {
			t.Errorf("%v and %v share topic %s", name, other, topic)
		}
		seen[topic] = name
		if i := strings.IndexFunc(topic, func(r rune) bool {
			return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-", r)
		}); i >= 0 {
			t.Errorf("topic %q", topic)
		}
		back, err := parseTableName(name.topicPart())
		if err != nil || back != name {
			t.Errorf("%v came back as %v, %v", name, back, err)
		}
	}
	if topic := s.TopicOf("public", "order_items"); topic != "n.public.order_items" {
		t.Errorf("an ordinary name became %s", topic)
	}
	for _, text := range []string{"", "a", "a.b.c", "a.-", "a.-2", "a.-zz", "a.-2E"} {
		if name, err := parseTableName(text); err == nil {
			t.Errorf("%q was read as %v", text, name)
		}
	}
}

// Keys are what a Go program makes of them: a join by another key must find their partition.
func TestKeysAreAsGoWritesThem(t *testing.T) {
	var all strings.Builder
	for r := rune(0); r < 0x300; r++ {
		all.WriteRune(r)
	}
	all.WriteString("\u2027\u2028\u2029\u202a😀\ufffd")
	want, err := json.Marshal(all.String())
	if err != nil {
		t.Fatal(err)
	}
	if got := appendString(nil, []byte(all.String())); string(got) != string(want) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestRowSecurityDoesNotHideRowsInSilence(t *testing.T) {
	w := newWorld(t, sharedServer(t), ordersSchema+`INSERT INTO orders VALUES (1, 'seen', 1), (2, 'hidden', 2);
		ALTER TABLE orders ENABLE ROW LEVEL SECURITY; CREATE POLICY few ON orders USING (id = 1);
		DROP ROLE IF EXISTS limited; CREATE ROLE limited LOGIN REPLICATION; GRANT SELECT ON orders TO limited`)
	defer w.exec("DROP OWNED BY limited; DROP ROLE limited")
	w.exec(fmt.Sprintf("CREATE PUBLICATION %s FOR TABLE orders", w.name))
	cfg := w.config("orders")
	cfg.Database = strings.Replace(cfg.Database, "millrace@", "limited@", 1)
	w.run(cfg).ends(ErrNoPrivilege, "row-level security")
}

func TestPublicationThatHoldsSomethingBackIsRefused(t *testing.T) {
	w := newWorld(t, sharedServer(t), ordersSchema+`CREATE TABLE parts (id int PRIMARY KEY) PARTITION BY RANGE (id);
		CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (100)`)
	for _, c := range []struct{ publication, table, text string }{
		{"FOR TABLE orders WITH (publish = 'insert, update, delete')", "orders", "insert, update, delete, truncate"},
		{"FOR TABLE orders WHERE (id > 5)", "orders", "row filter"},
		{"FOR TABLE orders (id, total)", "orders", "columns"},
		{"FOR TABLE parts", "parts", "publish_via_partition_root"},
	} {
		w.exec(fmt.Sprintf("CREATE PUBLICATION %s %s", w.name, c.publication))
		w.run(w.config(c.table)).ends(errUnfit, c.text)
		w.exec("DROP PUBLICATION " + w.name)
	}
	r := w.run(w.config("orders"))
	w.caughtUp(r)
	w.exec(fmt.Sprintf("ALTER PUBLICATION %s SET (publish = 'insert')", w.name))
	r.ends(errUnfit, "insert, update, delete, truncate")
}

func TestTableWhoseChangesDoNotTellTheKeyIsRefused(t *testing.T) {
	w := newWorld(t, sharedServer(t), `
		CREATE TABLE nothing (id int PRIMARY KEY); ALTER TABLE nothing REPLICA IDENTITY NOTHING;
		CREATE TABLE other (id int PRIMARY KEY, code int NOT NULL UNIQUE); ALTER TABLE other REPLICA IDENTITY USING INDEX other_code_key;
		CREATE TABLE later (id int PRIMARY KEY DEFERRABLE);
		CREATE TABLE made (a int, b int GENERATED ALWAYS AS (a / 10) STORED, PRIMARY KEY (a, b));
		CREATE TABLE split (id int PRIMARY KEY) PARTITION BY RANGE (id); CREATE TABLE split_1 PARTITION OF split FOR VALUES FROM (0) TO (9);
		ALTER TABLE split_1 REPLICA IDENTITY NOTHING`)
	for _, name := range []string{"nothing", "other", "later", "made", "split"} {
		w.run(w.config(name)).ends(ErrNoPrimaryKey, "public."+name)
	}
	w.exec("ALTER TABLE other REPLICA IDENTITY USING INDEX other_pkey; ALTER TABLE later REPLICA IDENTITY FULL")
	r := w.run(w.config("other", "later"))
	w.caughtUp(r)
	w.exec("INSERT INTO other VALUES (1, 1); INSERT INTO later VALUES (1); UPDATE later SET id = 2")
	w.caughtUp(r)
	w.wantState("public.later", map[string]string{`{"id":2}`: `{"id":2}`})
	w.exec("ALTER TABLE other REPLICA IDENTITY USING INDEX other_code_key; UPDATE other SET id = 2")
	r.ends(ErrNoPrimaryKey, "public.other")
}

func TestCompositeKeys(t *testing.T) {
	w := newWorld(t, sharedServer(t), `CREATE TABLE pairs (b text, n int, a uuid, note text, PRIMARY KEY (a, b) INCLUDE (n));
		INSERT INTO pairs VALUES ('x&y', 1, '6ba7b810-9dad-11d1-80b4-00c04fd430c8', 'old')`)
	r := w.run(w.config("pairs"))
	w.caughtUp(r)
	w.exec("UPDATE pairs SET n = 2; UPDATE pairs SET b = 'z', n = 3; INSERT INTO pairs VALUES ('x&y', 4, '6ba7b810-9dad-11d1-80b4-00c04fd430c8', NULL)")
	w.caughtUp(r)
	const a = `"a":"6ba7b810-9dad-11d1-80b4-00c04fd430c8"`
	w.wantState("public.pairs", map[string]string{
		`{` + a + `,"b":"z"}`:        `{"b":"z","n":3,` + a + `,"note":"old"}`,
		`{` + a + `,"b":"x\u0026y"}`: `{"b":"x\u0026y","n":4,` + a + `,"note":null}`,
	})
}

func TestPartitionsAreOneTable(t *testing.T) {
	w := newWorld(t, sharedServer(t), `CREATE TABLE days (day int, id int, v text, twice int GENERATED ALWAYS AS (id * 2) STORED, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
		CREATE TABLE days_1 (id int NOT NULL, v text, day int NOT NULL, twice int GENERATED ALWAYS AS (id * 2) STORED); ALTER TABLE days ATTACH PARTITION days_1 FOR VALUES FROM (0) TO (10);
		CREATE TABLE days_2 PARTITION OF days FOR VALUES FROM (10) TO (20);
		INSERT INTO days VALUES (1, 1, 'a'), (11, 2, 'b')`)
	r := w.run(w.config("days*"))
	w.caughtUp(r)
	w.exec("ALTER TABLE days REPLICA IDENTITY FULL") // not the partitions': their old rows have the key only
	w.exec("CREATE TABLE days_3 PARTITION OF days FOR VALUES FROM (20) TO (30); INSERT INTO days VALUES (21, 3, 'c')")
	w.exec("UPDATE days SET day = 12 WHERE id = 1; UPDATE days SET v = 'B' WHERE id = 2; DELETE FROM days WHERE id = 3")
	w.caughtUp(r)
	w.wantState("public.days", map[string]string{
		`{"id":1,"day":12}`: `{"day":12,"id":1,"v":"a"}`, `{"id":2,"day":11}`: `{"day":11,"id":2,"v":"B"}`,
	})
	for _, record := range w.records("public.days") {
		if strings.Contains(string(record.Value), `"v":null`) {
			t.Errorf("an old row that is known by its key only has null: %s", record.Value)
		}
	}
}

func TestChildOfATableIsATableOfItsOwn(t *testing.T) {
	w := newWorld(t, sharedServer(t), `CREATE TABLE parent (id int PRIMARY KEY); CREATE TABLE child (PRIMARY KEY (id)) INHERITS (parent);
		INSERT INTO parent VALUES (1); INSERT INTO child VALUES (2)`)
	r := w.run(w.config("parent"))
	w.caughtUp(r)
	w.exec("INSERT INTO child VALUES (3); INSERT INTO parent VALUES (4)")
	w.caughtUp(r)
	w.wantState("public.parent", map[string]string{`{"id":1}`: `{"id":1}`, `{"id":4}`: `{"id":4}`})
}

// A table of the same name is another table, also when the publication has all tables and so does not miss the former one.
func TestTableMadeAnewGetsANewSnapshot(t *testing.T) {
	const remake = `BEGIN; DROP TABLE orders; ` + ordersSchema + ` INSERT INTO orders VALUES (2, 'new', 2); COMMIT`
	for _, running := range []bool{false, true} {
		t.Run(fmt.Sprintf("running %t", running), func(t *testing.T) {
			w := newWorld(t, sharedServer(t), ordersSchema+`INSERT INTO orders VALUES (1, 'old', 1)`)
			w.exec(fmt.Sprintf("CREATE PUBLICATION %s FOR ALL TABLES", w.name))
			r := w.run(w.config("orders"))
			w.caughtUp(r)
			if !running {
				if err := r.stop(); err != nil {
					t.Fatal(err)
				}
			}
			w.exec(remake)
			if !running {
				r = w.run(w.config("orders"))
			}
			w.eventuallyDone("the topic has the new table", func() bool { return w.state("public.orders")[`{"id":2}`] != "" })
			w.exec("INSERT INTO orders VALUES (3, 'newer', 3)")
			w.caughtUp(r)
			w.wantState("public.orders", map[string]string{`{"id":2}`: `{"id":2,"note":"new","total":"2"}`, `{"id":3}`: `{"id":3,"note":"newer","total":"3"}`})
		})
	}
}

func TestTopicThatWasDeletedGetsANewSnapshot(t *testing.T) {
	w := newWorld(t, sharedServer(t), ordersSchema+`INSERT INTO orders VALUES (1, 'a', 1)`)
	r := w.run(w.config("orders"))
	w.caughtUp(r)
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	if _, err := kadm.NewClient(w.broker.Client(t)).DeleteTopic(t.Context(), w.name+".public.orders"); err != nil {
		t.Fatal(err)
	}
	w.exec("INSERT INTO orders VALUES (2, 'b', 2)")
	w.caughtUp(w.run(w.config("orders")))
	w.wantState("public.orders", map[string]string{`{"id":1}`: `{"id":1,"note":"a","total":"1"}`, `{"id":2}`: `{"id":2,"note":"b","total":"2"}`})
}

// The rows of a topic that deletes by age may all be gone: there is nothing to read then, and nothing to wait for.
func TestTopicWhoseRecordsAreGoneIsReadAsEmpty(t *testing.T) {
	w := newWorld(t, sharedServer(t), ordersSchema+`INSERT INTO orders VALUES (1, 'a', 1)`)
	cfg := w.config("orders")
	cfg.TopicConfig = map[string]string{"cleanup.policy": "delete"}
	r := w.run(cfg)
	w.caughtUp(r)
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	admin := kadm.NewClient(w.broker.Client(t))
	ends, err := admin.ListEndOffsets(t.Context(), w.name+".public.orders")
	if err != nil {
		t.Fatal(err)
	}
	deleted, err := admin.DeleteRecords(t.Context(), ends.Offsets())
	if err != nil || deleted.Error() != nil {
		t.Fatal(err, deleted.Error())
	}
	cfg.Resnapshot = true
	w.caughtUp(w.run(cfg))
	w.wantState("public.orders", map[string]string{`{"id":1}`: `{"id":1,"note":"a","total":"1"}`})
}

func TestRowThatIsTooLargeEndsTheSource(t *testing.T) {
	w := newWorld(t, sharedServer(t), ordersSchema)
	r := w.run(w.config("orders"))
	w.caughtUp(r)
	w.exec("INSERT INTO orders VALUES (7, repeat('x', 17 * 1024 * 1024), 1)")
	r.ends(errTooLarge, ".public.orders")
}

// A topic that somebody else made takes batches of a megabyte only.
func TestTopicWithSmallBatchesTakesALoad(t *testing.T) {
	w := newWorld(t, sharedServer(t), `CREATE TABLE noise (id int PRIMARY KEY, v text)`)
	limit := "200000"
	if _, err := kadm.NewClient(w.broker.Client(t)).CreateTopic(t.Context(), 1, 1, map[string]*string{"max.message.bytes": &limit}, w.name+".public.noise"); err != nil {
		t.Fatal(err)
	}
	w.exec("INSERT INTO noise SELECT g, (SELECT string_agg(md5(random()::text || g || h), '') FROM generate_series(1, 30) h) FROM generate_series(1, 3000) g")
	r := w.run(w.config("noise"))
	w.caughtUp(r)
	if n := len(w.state("public.noise")); n != 3000 {
		t.Errorf("%d rows", n)
	}
	w.exec("INSERT INTO noise SELECT 0, (SELECT string_agg(md5(random()::text || h), '') FROM generate_series(1, 20000) h)")
	r.ends(errTooLarge, ".public.noise")
}

// A second connector by mistake does no harm to the one that runs.
func TestSlotInUseLeavesItsConnectorAlone(t *testing.T) {
	w := newWorld(t, sharedServer(t), ordersSchema)
	first := w.run(w.config("orders"))
	w.caughtUp(first)
	cfg := w.config("orders")
	cfg.SlotWait = time.Nanosecond
	w.run(cfg).ends(ErrSlotInUse, "is another connector of this name running?")
	w.exec("INSERT INTO orders VALUES (1, 'still', 1)")
	w.caughtUp(first)
	w.wantState("public.orders", map[string]string{`{"id":1}`: `{"id":1,"note":"still","total":"1"}`})
}

// A transaction that was open before the slot holds up its making: that is said, and not waited for without end.
func TestOpenTransactionThatHoldsUpTheSlotIsTold(t *testing.T) {
	w := newWorld(t, ownServer(t, nil), ordersSchema)
	w.exec("BEGIN; INSERT INTO orders VALUES (1, 'open', 1)")
	cfg := w.config("orders")
	cfg.RetryFor = 300 * time.Millisecond
	w.exec("SAVEPOINT s")
	r := w.run(cfg)
	r.ends(ErrUnavailable, "transactions that were open before")
	w.exec("COMMIT")
	w.caughtUp(w.run(w.config("orders")))
	w.wantState("public.orders", map[string]string{`{"id":1}`: `{"id":1,"note":"open","total":"1"}`})
}

func TestLogThatStaysAwayIsSeenAndGivenUp(t *testing.T) {
	w := newWorld(t, sharedServer(t), ordersSchema)
	cfg := w.config("orders")
	cfg.RetryFor = 300 * time.Millisecond
	cfg.logSilence = time.Second
	r := w.run(cfg)
	w.caughtUp(r)
	w.broker.Stop()
	w.exec("INSERT INTO orders VALUES (1, 'lost?', 1)")
	if err := r.end(); !errors.Is(err, ErrUnavailable) {
		t.Errorf("the source ended with %v", err)
	}
}

func TestLagIsOfWhatIsNotThereYet(t *testing.T) {
	now := time.Now()
	g := &gauges{committed: 100, serverEnd: 100}
	g.lastCommit, g.level = now.Add(-time.Hour), now.Add(-time.Second)
	s := &Source{gauges: gauges{}}
	s.gauges.committed, s.gauges.serverEnd, s.gauges.lastCommit, s.gauges.level = g.committed, 150, g.lastCommit, g.level
	if lag := s.Stats().Lag; lag > time.Minute {
		t.Errorf("after a quiet hour the lag is %v", lag)
	}
	if bytes := s.Stats().LagBytes; bytes != 50 {
		t.Errorf("%d bytes", bytes)
	}
}
