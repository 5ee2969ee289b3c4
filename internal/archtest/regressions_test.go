package archtest

import (
	"bytes"
	"go/ast"
	"os"
	"path/filepath"
	"testing"
)

// othersBugs names what went wrong in other servers of this protocol and in logs like ours, and where this repository tries to do the same wrong. A proof is a test, as
// package and name, or a file that a test plays, from the module's root; behind # stands a text that the file must have.
var othersBugs = []struct {
	bug    string
	what   string
	proofs []string
}{
	{"Redpanda 3039", "a batch that was written and is sent again is refused instead of acknowledged, and written twice by the retry",
		[]string{"internal/wireprobe/testdata/producers.wire#scenario producers/duplicate-is-acknowledged", "internal/losstest TestKilledBrokerKeepsEveryPromise"}},
	{"Redpanda 5026", "a sequence that is used again after an abort is taken for a duplicate, and a record lost",
		[]string{"broker/internal/commitlog TestASequenceThatBeginsAnewWithTheEpochIsNoDuplicate"}},
	{"Redpanda 5355, 5356", "a duplicate of a batch whose segment is gone cannot be answered",
		[]string{"broker/internal/commitlog TestADuplicateIsKnownAfterItsSegmentIsGone"}},
	{"Redpanda 6018", "a transaction's partitions are known to its coordinator's memory only",
		[]string{"broker/internal/coordinator/transactions TestAnsweredPartitionsSurviveACrash"}},
	{"Redpanda 9571", "a group's offset is read from before a commit that has passed",
		[]string{"broker/internal/coordinator/groups TestOffsetsOfATransactionCountFromItsMarkerOn", "internal/losstest TestKilledBrokerKeepsEveryPromise"}},
	{"Redpanda 1384", "producer and epoch do not name a transaction, so that a late request meets the next one",
		[]string{"broker/internal/commitlog/testdata/scripts/protocol-2"}},
	{"Redpanda 8236", "a transaction that nobody ends is never aborted",
		[]string{"broker/internal/coordinator/transactions TestATransactionThatNobodyEndsIsAborted", "broker/internal/coordinator/transactions TestADeadProducersTransactionTimesOut"}},
	{"Redpanda 13364", "a committed offset is one too high after an abort",
		[]string{"broker/internal/coordinator/transactions TestAnAbortLeavesTheCommittedOffset", "internal/wireprobe/testdata/transactions.wire#scenario transactions/offsets-aborted"}},
	{"franz-go 1.21.4", "aborted transactions come out of the order of their first offsets, and clients show aborted records",
		[]string{"internal/wireprobe/testdata/transactions.wire#scenario transactions/aborted-list-is-ordered-and-cut", "internal/losstest TestKilledBrokerKeepsEveryPromise"}},
	{"franz-go, EndTxn", "an unknown error in answer to EndTxn is taken for a commit",
		[]string{"broker/internal/coordinator/transactions TestNoAnswerIsUnknownServerError"}},
	{"KAFKA-17754", "an EndTxn that comes late ends the next transaction",
		[]string{"broker/internal/txn/testdata/repeated_end", "broker/internal/txn/testdata/late_markers",
			"internal/wireprobe/testdata/transactions.wire#scenario transactions/second-protocol-old-epoch-is-fenced"}},
	{"KAFKA-14402, KAFKA-12671", "a Produce that comes after the abort opens a transaction that nobody ends",
		[]string{"broker/internal/coordinator/transactions TestALateProduceOpensNoTransaction"}},
	{"KAFKA-18957", "an EndTxn is answered as concurrent for good", []string{"broker/internal/coordinator/transactions TestAWaitForMarkersIsBounded"}},
	{"KAFKA-18464", "an abort of nothing fences its own producer",
		[]string{"internal/wireprobe/testdata/transactions.wire#scenario transactions/second-protocol-empty-abort-and-commit"}},
	{"KAFKA-20785", "a commit that meets its coordinator's time-out is refused for a reason that ends the client",
		[]string{"broker/internal/txn/testdata/timeout"}},
	{"KAFKA-13574", "a producer cannot tell from the error what became of its transaction: a time-out is answered in several ways",
		[]string{"broker/internal/txn/testdata/timeout#PRODUCER_FENCED"}},
	{"KIP-664", "a transaction that no coordinator knows stays open for ever, and the last stable offset with it",
		[]string{"broker/internal/coordinator/transactions TestATransactionThatNoCoordinatorKnowsIsAborted",
			"broker/internal/coordinator/transactions TestAPowerLossThatTakesTheCoordinatorsLogLeavesNothingPending"}},
	{"KAFKA-20734", "a transaction is complete although a partition has no marker, and the next commit shows aborted records",
		[]string{"broker/internal/coordinator/transactions TestAMarkerThatCouldNotBeWrittenIsOwed", "broker/internal/coordinator/transactions TestACrashLeavesTheDebtToTheNextLeader"}},
	{"KIP-890", "the producer's epoch runs out after 32,767 transactions", []string{"broker/internal/txn/testdata/exhaustion"}},
	{"KAFKA-9891, KAFKA-20685", "a store keeps what an aborted transaction wrote and is believed after a crash",
		[]string{"runtime TestExactlyOnceSurvivesRandomKills", "internal/crashtest TestKilledProcessCountsEveryWordOnce"}},
	{"KAFKA-9727", "a store whose task never committed is believed after a crash, or stays locked",
		[]string{"runtime TestAKillBeforeTheFirstCommitLeavesNothing"}},
	{"KAFKA-21034", "an application whose local state is damaged ends at each of its starts, until somebody removes the state",
		[]string{"runtime TestDamagedStateIsRestored", "statestore/diskstore TestADamagedDatabaseGivesWayToAnEmptyOne"}},
	{"KAFKA-10166", "state that is whole counts as damaged after a restart, and is built anew",
		[]string{"runtime TestRestoreReadsOnlyTheTail"}},
	{"NATS 6888, 7567", "what was acknowledged is gone after a kill or a power loss",
		[]string{"internal/losstest TestKilledBrokerKeepsEveryPromise", "internal/losstest TestPowerLossTakesNothingThatWasFlushed"}},
	{"NATS 7549", "a flipped bit in the middle ends the log there",
		[]string{"broker/internal/commitlog TestFlippedBitInTheMiddleIsNeverCut", "broker TestAFlippedBitIsSaidAndNeverServed"}},
	{"NATS 7556", "metadata that is damaged counts as none, and data is deleted for it",
		[]string{"broker/internal/cluster TestAFlippedBitBeforeTheLastFrameIsNoTornTail", "broker TestADataDirectoryThatLacksItsTopicsIsRefused"}},
	{"NATS 7545", "a change of who belongs to what loses what was acknowledged meanwhile: here that of a topic's partitions and of the metadata, since a server is its cluster's only one",
		[]string{"internal/faulttest TestTheServerOutlivesAFaultAtEveryCall", "broker TestPartitionsAddedUnderLoadLoseNothing"}},
	{"fsyncgate", "a flush that failed is tried again and believed",
		[]string{"broker/internal/commitlog TestFailedFlushTakesTheLogOffline", "broker/internal/commitlog TestWhatAFailedFlushLeftIsWrittenAgain",
			"broker/internal/replica TestAFailedFlushTakesTheDirectoryOffline"}},
	{"CVE-2022-34917", "a declared length takes memory", []string{"broker TestADeclaredLengthCostsNoMemory", "broker/internal/frame TestHugeCountsAnywhereAreRefusedOrHarmless"}},
	{"etcd CVE-2020-15106", "a length in a damaged file takes memory", []string{"broker/internal/commitlog TestHostileLengthsTakeNoMemory"}},
}

func TestOthersBugsHaveTests(t *testing.T) {
	tests := map[string]bool{}
	for path, p := range tree(t) {
		for _, f := range p.files {
			for _, decl := range f.syntax.Decls {
				if fn, ok := decl.(*ast.FuncDecl); ok && f.test && fn.Recv == nil {
					tests[path+" "+fn.Name.Name] = true
				}
			}
		}
	}
	for _, b := range othersBugs {
		if len(b.proofs) == 0 {
			t.Errorf("%s (%s) has no test", b.bug, b.what)
		}
		for _, proof := range b.proofs {
			if !tests[proof] && !played(t, proof) {
				t.Errorf("%s (%s): there is no %s", b.bug, b.what, proof)
			}
		}
	}
}

// played tells whether a proof is a file, and holds its text.
func played(t *testing.T, proof string) bool {
	t.Helper()
	name, text, _ := bytes.Cut([]byte(proof), []byte("#"))
	content, err := os.ReadFile(filepath.Join("..", "..", filepath.FromSlash(string(name))))
	return err == nil && bytes.Contains(content, text)
}
