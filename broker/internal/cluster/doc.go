// Package cluster holds this broker's copy of the cluster metadata and the way to change it: the effects around package controller.
//
// Local is the cluster of one: it decides on the current image, writes the records to its metadata log, flushes them, and only then applies them and
// tells the watchers. An image that anybody has seen is therefore on disk, whatever the flush mode of the data is. With several brokers a replicated
// log takes the place of the file; deciding, applying and watching stay as they are.
//
// On disk, in a directory of its own, n being the index of the next record:
//
//	<n>.snapshot   one frame: the records that build the image at index n
//	<n>.log        frames, each with the records of one proposal, from index n on
//
// Each start and each compaction writes a new snapshot and an empty log, and then removes the older files; a crash in between leaves both
// generations, of which the newer snapshot wins. Only the last frame of a log can be torn, for a frame is flushed before the next one is written.
package cluster
