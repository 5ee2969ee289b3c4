// Package storetest is the conformance suite of the state engines: whoever implements statestore.Engine runs it, and so do the typed stores, on every engine.
//
// [Run] checks the contract of Engine, Partition, Iterator and Batch, and the typed stores over it. [RunCrash] adds engines that outlive their process.
// Random tests print their seed; set STORETEST_SEED to run one again. Every slice that a store hands out is mangled when its validity ends, and
// every argument after the call that took it, so that nothing passes by sharing memory.
package storetest
