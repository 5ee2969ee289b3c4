package golden_test

import "encoding/json"

// difference is a case in which we answer otherwise than the library, on purpose.
type difference struct {
	why string
	// stores replaces the final contents that the case expects.
	stores map[string]string
	// out replaces the output of steps, by their number from 0.
	out map[int]string
	// dropped replaces how many records steps drop, by their number from 0.
	dropped map[int]int
	// noError says that the case goes on to its end where the library fails.
	noError bool
}

const zeroWindow = "in the library a join of difference 0 and grace 0 keeps its records for no time at all and never joins; ours joins records of equal time"

// differences is the whole list: a case that is not in it must be answered as the library does.
var differences = map[string]difference{
	"join-table-table-inner-self": {
		why: "the library tells nobody that a row of a table that is joined with itself is gone, since both sides have lost it; ours gives a tombstone",
		out: map[int]string{2: `[{"topic":"out","key":"a","value":null,"ts":3}]`},
	},
	"window-sliding-zero": {
		why:     "the library fails, since its windows must not be empty; ours is the window of one instant",
		noError: true,
		out: map[int]string{
			0: `[{"topic":"out","key":"a@10/10","value":"+1","ts":10}]`,
			1: `[{"topic":"out","key":"a@10/10","value":"+1+2","ts":10}]`,
			2: `[{"topic":"out","key":"a@11/11","value":"+3","ts":11}]`,
		},
		stores: map[string]string{"C": `[{"key":"a@10/10","value":"+1+2","ts":10},{"key":"a@11/11","value":"+3","ts":11}]`},
	},
	"join-stream-stream-inner-zero-window": {
		why: zeroWindow,
		out: map[int]string{
			1: `[{"topic":"out","key":"k","value":"A-a","ts":10}]`,
			3: `[{"topic":"out","key":"k","value":"B-a","ts":11}]`,
			4: `[{"topic":"out","key":"k","value":"C-a","ts":11}]`,
		},
	},
	"join-stream-stream-left-zero-window": {
		why: zeroWindow,
		out: map[int]string{
			1: `[{"topic":"out","key":"k","value":"A-a","ts":10}]`,
			2: `null`,
			3: `[{"topic":"out","key":"k","value":"B-a","ts":11}]`,
			4: `[{"topic":"out","key":"k","value":"C-a","ts":11}]`,
			6: `null`,
		},
	},
	"join-stream-stream-outer-zero-window": {
		why: zeroWindow,
		out: map[int]string{
			1: `[{"topic":"out","key":"k","value":"A-a","ts":10}]`,
			2: `null`,
			3: `[{"topic":"out","key":"k","value":"B-a","ts":11}]`,
			4: `[{"topic":"out","key":"k","value":"C-a","ts":11}]`,
			6: `null`,
		},
	},
	"join-stream-stream-zero-window-in-memory": {
		why: zeroWindow,
		out: map[int]string{
			1: `[{"topic":"out","key":"k","value":"A-a","ts":10}]`,
			3: `[{"topic":"out","key":"k","value":"B-a","ts":11}]`,
		},
		dropped: map[int]int{0: 0, 1: 0, 2: 0, 3: 0},
	},
	"cache-window": {
		why: "the library's cache shows windows that its store has hidden as expired, until they happen to be evicted; ours hides them either way",
		stores: map[string]string{
			"C": `[{"key":"j@5/15","value":"+x+y","ts":8},{"key":"k@5/15","value":"+a+b+c","ts":12},{"key":"k@10/20","value":"+c","ts":12}]`,
		},
	},
}

// read decodes an expectation of our own.
func read(src string, into any) {
	if err := json.Unmarshal([]byte(src), into); err != nil {
		panic(err)
	}
}

// differs puts our own expectation in place of the library's where they differ.
func differs(c *goldenCase) {
	if differences[c.Name].noError {
		c.Expect.Error, c.Expect.Stores = nil, map[string][]storeEntry{}
	}
	for step, n := range differences[c.Name].dropped {
		c.Expect.Dropped += n - c.Steps[step].Expect.Dropped
		c.Steps[step].Expect.Dropped = n
	}
	for name, want := range differences[c.Name].stores {
		var entries []storeEntry
		read(want, &entries)
		c.Expect.Stores[name] = entries
	}
	for step, want := range differences[c.Name].out {
		c.Steps[step].Expect.Out = nil
		read(want, &c.Steps[step].Expect.Out)
	}
}
