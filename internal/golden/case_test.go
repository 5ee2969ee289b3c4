package golden_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"regexp"
)

// goldenCase is one file.
type goldenCase struct {
	Name     string
	Why      string
	Config   caseConfig
	Topics   map[string]topicTypes
	Topology []caseOp
	Steps    []caseStep
	Expect   caseEnd
}

type caseConfig struct {
	CacheBytes             int
	StoreType              string
	StoreFormat            string
	Optimization           string
	EmitIntervalMs         int64
	WallClock              int64
	DeserializationHandler string
	ProcessingHandler      string
	DeadLetterQueue        string
}

type topicTypes struct{ Key, Value string }

// caseOp is an operator of the topology. Pointers tell what is left out from what is empty.
type caseOp struct {
	ID, Op, Of, With     string
	Topic                string
	Topics               []string
	Pattern, TopicFrom   string
	Timestamps           string
	If                   string
	Key, Value           *string
	List                 string
	Name                 string
	Store, StoreType     string
	Cache, Logging       *bool
	Versioned            json.RawMessage
	Retention            *int64
	Init                 *string
	Add, Subtract, Merge string
	Joiner, ForeignKey   string
	MapKey               string
	Grace                *int64
	Window               *caseWindow
	Emit                 string
	Kind                 string
	Partitions           int
	Inputs               []cogroupInput
	Branches             []caseBranch
	Default              string
	Routes               []caseRoute
	Header, Reads, Clock string
	Start                *int64
	Every, Times, TTL    int64
	Within, History      int64
	Until                string
	Limit                int64
	MaxRecords           *int
	WhenFull             string
}

// caseBranch is a branch of a split.
type caseBranch struct{ ID, If string }

type caseWindow struct {
	Type             string
	Size, Advance    int64
	Diff, Grace, Gap int64
	Before, After    int64
	Start            int64
}

type caseStep struct {
	Pipe             *string
	Key, Value       *string
	KeyHex, ValueHex *string
	TS               int64
	Headers          [][2]*string
	AdvanceWallClock *int64
	Query            *string
	Range            *[2]*string
	From, To         *int64
	AsOf             *int64
	Expect           stepExpect
}

type stepExpect struct {
	Out     []outRecord
	Dropped int
	Got     json.RawMessage
}

type outRecord struct {
	Topic   string       `json:"topic"`
	Key     *string      `json:"key"`
	Value   *string      `json:"value"`
	TS      int64        `json:"ts"`
	Headers [][2]*string `json:"headers,omitempty"`
}

type caseEnd struct {
	Stores  map[string][]storeEntry
	Dropped int
	Error   *caseError
	// Internal is what was written to internal topics: key in hex, value in hex, time, and headers where there are any.
	Internal map[string][][]any
}

type caseError struct {
	Op   string
	Step *int
}

// storeEntry is an entry of a store in a query or at the end.
type storeEntry struct {
	Key   *string `json:"key,omitempty"`
	Start *int64  `json:"start,omitempty"`
	Value *string `json:"value"`
	TS    *int64  `json:"ts,omitempty"`
}

func readCase(path string) (*goldenCase, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	b = withHeaders.ReplaceAll(b, []byte("$1"))
	var c goldenCase
	if err := json.Unmarshal(b, &c); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return &c, nil
}

// withHeaders is how a session's value is shown that a store keeps with its headers: $1 is the value.
var withHeaders = regexp.MustCompile(`AggregationWithHeaders\{aggregation=(.*?), headers=RecordHeaders\(headers = \[.*?\], isReadOnly = (?:true|false)\)\}`)

// show prints a value as JSON, for comparison and messages.
func show(v any) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic(err)
	}
	return string(bytes.ReplaceAll(bytes.TrimSpace(b.Bytes()), []byte(`\ufffd`), []byte("\ufffd"))) // one form for what is no UTF-8 and what Java has made of it
}
