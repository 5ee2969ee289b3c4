package frame

// dataRequests are the requests about data, metadata and configuration.
func dataRequests() []message {
	return []message{
		{ // Produce
			key: 0, min: 3, max: 13, flexible: 9,
			fields: []field{
				str.null(), i16, i32, // transactional id, acks, timeout ms
				structs( // topic data
					uuid.since(13), str.until(12), // topic id, name
					structs( // partition data
						i32, data.null(), // index, records
					),
				),
			},
		},
		{ // Fetch
			key: 1, min: 4, max: 18, flexible: 12,
			fields: []field{
				i32.until(14), i32, i32, i32, i8, // replica id, max wait ms, min bytes, max bytes, isolation level
				i32.since(7), i32.since(7), // session id, session epoch
				structs( // topics
					uuid.since(13), str.until(12), // topic id, topic
					structs( // partitions
						i32, i32.since(9), i64, i32.since(12), // partition, current leader epoch, fetch offset, last fetched epoch
						i64.since(5), i32, tagged(0, uuid.since(17)), // log start offset, partition max bytes, replica directory id
						tagged(1, i64.since(18)), // high watermark
					),
				),
				structs( // forgotten topics data
					uuid.since(13), str.until(12), arrayOf(i32), // topic id, topic, partitions
				).since(7),
				str.since(11), tagged(0, str.since(12).null()), // rack id, cluster id
				tagged(1, structure( // replica state
					i32.since(15), i64.since(15), // replica id, replica epoch
				).since(15)),
			},
		},
		{ // ListOffsets
			key: 2, min: 1, max: 11, flexible: 6,
			fields: []field{
				i32, i8.since(2), // replica id, isolation level
				structs( // topics
					str, // name
					structs( // partitions
						i32, i32.since(4), i64, // partition index, current leader epoch, timestamp
					),
				),
				i32.since(10), // timeout ms
			},
		},
		{ // Metadata
			key: 3, min: 0, max: 13, flexible: 9,
			fields: []field{
				structs( // topics
					uuid.since(10), str.nullSince(10), // topic id, name
				).nullSince(1),
				flag.since(4), flag.since(8).until(10), // allow auto topic creation, include cluster authorized operations
				flag.since(8), // include topic authorized operations
			},
		},
		{ // SaslHandshake
			key: 17, min: 0, max: 1, flexible: never,
			fields: []field{
				str, // mechanism
			},
		},
		{ // ApiVersions
			key: 18, min: 0, max: 4, flexible: 3,
			fields: []field{
				str.since(3), str.since(3), // client software name, client software version
			},
		},
		{ // CreateTopics
			key: 19, min: 2, max: 7, flexible: 5,
			fields: []field{
				structs( // topics
					str, i32, i16, // name, num partitions, replication factor
					structs( // assignments
						i32, arrayOf(i32), // partition index, broker ids
					),
					structs( // configs
						str, str.null(), // name, value
					),
				),
				i32, flag, // timeout ms, validate only
			},
		},
		{ // DeleteTopics
			key: 20, min: 1, max: 6, flexible: 4,
			fields: []field{
				structs( // topics
					str.null(), uuid, // name, topic id
				).since(6),
				arrayOf(str).until(5), i32, // topic names, timeout ms
			},
		},
		{ // DeleteRecords
			key: 21, min: 0, max: 2, flexible: 2,
			fields: []field{
				structs( // topics
					str, // name
					structs( // partitions
						i32, i64, // partition index, offset
					),
				),
				i32, // timeout ms
			},
		},
		{ // OffsetForLeaderEpoch
			key: 23, min: 2, max: 4, flexible: 4,
			fields: []field{
				i32.since(3), // replica id
				structs( // topics
					str, // topic
					structs( // partitions
						i32, i32, i32, // partition, current leader epoch, leader epoch
					),
				),
			},
		},
		{ // DescribeConfigs
			key: 32, min: 1, max: 4, flexible: 4,
			fields: []field{
				structs( // resources
					i8, str, arrayOf(str).null(), // resource type, resource name, configuration keys
				),
				flag, flag.since(3), // include synonyms, include documentation
			},
		},
		{ // AlterConfigs
			key: 33, min: 0, max: 2, flexible: 2,
			fields: []field{
				structs( // resources
					i8, str, // resource type, resource name
					structs( // configs
						str, str.null(), // name, value
					),
				),
				flag, // validate only
			},
		},
		{ // DescribeLogDirs
			key: 35, min: 1, max: 5, flexible: 2,
			fields: []field{
				structs( // topics
					str, arrayOf(i32), // topic, partitions
				).null(),
			},
		},
		{ // SaslAuthenticate
			key: 36, min: 0, max: 2, flexible: 2,
			fields: []field{
				data, // auth bytes
			},
		},
		{ // CreatePartitions
			key: 37, min: 0, max: 3, flexible: 2,
			fields: []field{
				structs( // topics
					str, i32, // name, count
					structs( // assignments
						arrayOf(i32), // broker ids
					).null(),
				),
				i32, flag, // timeout ms, validate only
			},
		},
		{ // IncrementalAlterConfigs
			key: 44, min: 0, max: 1, flexible: 1,
			fields: []field{
				structs( // resources
					i8, str, // resource type, resource name
					structs( // configs
						str, i8, str.null(), // name, config operation, value
					),
				),
				flag, // validate only
			},
		},
		{ // ListConfigResources
			key: 74, min: 0, max: 1, flexible: 0,
			fields: []field{
				arrayOf(i8).since(1), // resource types
			},
		},
		{ // DescribeTopicPartitions
			key: 75, min: 0, max: 0, flexible: 0,
			fields: []field{
				structs( // topics
					str, // name
				),
				i32, // response partition limit
				structure( // cursor
					str, i32, // topic name, partition index
				).null(),
			},
		},
	}
}
