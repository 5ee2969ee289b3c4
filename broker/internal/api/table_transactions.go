package api

// transactionAPIs are the APIs of producer ids and of the transaction coordinator.
func transactionAPIs() []API {
	return []API{
		{Key: 22, Min: 0, Max: 5, Handle: handleInitProducerID, Needs: needs(onTxn(OpWrite), onCluster(OpIdempotentWrite))},
		{Key: 24, Min: 0, Max: 5, Handle: handleAddPartitionsToTxn, Needs: needs(onTxn(OpWrite), onTopic(OpWrite))},
		{Key: 25, Min: 0, Max: 4, Handle: handleAddOffsetsToTxn, Needs: needs(onTxn(OpWrite), onGroup(OpRead))},
		{Key: 26, Min: 0, Max: 5, Handle: handleEndTxn, Needs: needs(onTxn(OpWrite))},
		{Key: 27, Min: 1, Max: 2, Handle: handleWriteTxnMarkers, Needs: needs(onCluster(OpClusterAction))},
		{Key: 28, Min: 0, Max: 5, Handle: handleTxnOffsetCommit, Needs: needs(onTxn(OpWrite), onGroup(OpRead), onTopic(OpRead))},
		{Key: 61, Min: 0, Max: 0, Handle: handleDescribeProducers, Needs: needs(onTopic(OpRead))},
		{Key: 65, Min: 0, Max: 0, Handle: handleDescribeTransactions, Needs: needs(onTxn(OpDescribe))},
		{Key: 66, Min: 0, Max: 2, Handle: handleListTransactions, Needs: needs(onTxn(OpDescribe))},
	}
}
