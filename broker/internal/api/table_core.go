package api

// coreAPIs are the APIs about data, metadata and configuration.
func coreAPIs() []API {
	return []API{
		// Produce is listed from version 0 because old librdkafka takes a higher minimum for a broker that cannot compress.
		{Key: 0, Min: 3, Max: 13, ListedFromZero: true, Handle: handleProduce, Needs: needs(onTopic(OpWrite), onTxn(OpWrite))},
		{Key: 1, Min: 4, Max: 18, Handle: handleFetch, Needs: needs(onTopic(OpRead))},
		{Key: 2, Min: 1, Max: 11, Handle: handleListOffsets, Needs: needs(onTopic(OpDescribe))},
		{Key: 3, Min: 0, Max: 13, Handle: handleMetadata, Needs: needs(onTopic(OpDescribe), onTopic(OpCreate))},
		{Key: 17, Min: 0, Max: 1, Handle: handleSASLHandshake},
		{Key: 18, Min: 0, Max: 4, Handle: handleApiVersions},
		{Key: 19, Min: 2, Max: 7, Handle: handleCreateTopics, Needs: needs(onCluster(OpCreate), onTopic(OpCreate))},
		{Key: 20, Min: 1, Max: 6, Handle: handleDeleteTopics, Needs: needs(onTopic(OpDelete))},
		{Key: 21, Min: 0, Max: 2, Handle: handleDeleteRecords, Needs: needs(onTopic(OpDelete))},
		{Key: 23, Min: 2, Max: 4, Handle: handleOffsetForLeaderEpoch, Needs: needs(onTopic(OpDescribe))},
		{Key: 29, Min: 1, Max: 3, Handle: handleDescribeACLs, Needs: needs(onCluster(OpDescribe))},
		{Key: 30, Min: 1, Max: 3, Handle: handleCreateACLs, Needs: needs(onCluster(OpAlter))},
		{Key: 31, Min: 1, Max: 3, Handle: handleDeleteACLs, Needs: needs(onCluster(OpAlter))},
		{Key: 32, Min: 1, Max: 4, Handle: handleDescribeConfigs, Needs: needs(onCluster(OpDescribeConfigs), onTopic(OpDescribeConfigs))},
		{Key: 33, Min: 0, Max: 2, Handle: handleAlterConfigs, Needs: needs(onCluster(OpAlterConfigs), onTopic(OpAlterConfigs))},
		{Key: 35, Min: 1, Max: 5, Handle: handleDescribeLogDirs, Needs: needs(onCluster(OpDescribe))},
		{Key: 36, Min: 0, Max: 2, Handle: handleSASLAuthenticate},
		{Key: 37, Min: 0, Max: 3, Handle: handleCreatePartitions, Needs: needs(onTopic(OpAlter))},
		{Key: 43, Min: 0, Max: 2, Handle: handleElectLeaders, Needs: needs(onCluster(OpAlter))},
		{Key: 44, Min: 0, Max: 1, Handle: handleIncrementalAlterConfigs, Needs: needs(onCluster(OpAlterConfigs), onTopic(OpAlterConfigs))},
		{Key: 45, Min: 0, Max: 1, Handle: handleAlterPartitionAssignments, Needs: needs(onCluster(OpAlter))},
		{Key: 46, Min: 0, Max: 0, Handle: handleListPartitionReassignments, Needs: needs(onCluster(OpDescribe))},
		{Key: 48, Min: 0, Max: 1, Handle: handleDescribeClientQuotas, Needs: needs(onCluster(OpDescribeConfigs))},
		{Key: 49, Min: 0, Max: 1, Handle: handleAlterClientQuotas, Needs: needs(onCluster(OpAlterConfigs))},
		{Key: 50, Min: 0, Max: 0, Handle: handleDescribeUserScramCredentials, Needs: needs(onCluster(OpDescribe))},
		{Key: 51, Min: 0, Max: 0, Handle: handleAlterUserScramCredentials, Needs: needs(onCluster(OpAlter))},
		{Key: 55, Min: 0, Max: 2, Handle: handleDescribeQuorum, Needs: needs(onCluster(OpDescribe))},
		{Key: 57, Min: 0, Max: 2, Handle: handleUpdateFeatures, Needs: needs(onCluster(OpAlter))},
		{Key: 60, Min: 0, Max: 2, Handle: handleDescribeCluster, Needs: needs(onCluster(OpDescribe))},
		{Key: 75, Min: 0, Max: 0, Handle: handleDescribeTopicPartitions, Needs: needs(onTopic(OpDescribe))},
	}
}
