package golden_test

import "encoding/json"

// difference is a case in which we answer otherwise than the library, on purpose.
type difference struct {
	why string
	// stores replaces the final contents that the case expects.
	stores map[string]string
}

// differences is the whole list: a case that is not in it must be answered as the library does.
var differences = map[string]difference{
	"cache-window": {
		why: "the library's cache shows windows that its store has hidden as expired, until they happen to be evicted; ours hides them either way",
		stores: map[string]string{
			"C": `[{"key":"j@5/15","value":"+x+y","ts":8},{"key":"k@5/15","value":"+a+b+c","ts":12},{"key":"k@10/20","value":"+c","ts":12}]`,
		},
	},
}

// differs puts our own expectation in place of the library's where they differ.
func differs(c *goldenCase) {
	for name, want := range differences[c.Name].stores {
		var entries []storeEntry
		if err := json.Unmarshal([]byte(want), &entries); err != nil {
			panic(err)
		}
		c.Expect.Stores[name] = entries
	}
}
