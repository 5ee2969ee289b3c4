package frame

// transactionRequests are the requests of producer ids and of the transaction coordinator.
func transactionRequests() []message {
	return []message{
		{ // InitProducerId
			key: 22, min: 0, max: 5, flexible: 2,
			fields: []field{
				str.null(), i32, i64.since(3), // transactional id, transaction timeout ms, producer id
				i16.since(3), // producer epoch
			},
		},
		{ // AddPartitionsToTxn
			key: 24, min: 0, max: 5, flexible: 3,
			fields: []field{
				structs( // transactions
					str, i64, i16, flag, // transactional id, producer id, producer epoch, verify only
					structs( // topics
						str, arrayOf(i32), // name, partitions
					),
				).since(4),
				str.until(3), i64.until(3), i16.until(3), // transactional id, producer id, producer epoch
				structs( // topics
					str, arrayOf(i32), // name, partitions
				).until(3),
			},
		},
		{ // AddOffsetsToTxn
			key: 25, min: 0, max: 4, flexible: 3,
			fields: []field{
				str, i64, i16, str, // transactional id, producer id, producer epoch, group id
			},
		},
		{ // EndTxn
			key: 26, min: 0, max: 5, flexible: 3,
			fields: []field{
				str, i64, i16, flag, // transactional id, producer id, producer epoch, committed
			},
		},
		{ // WriteTxnMarkers
			key: 27, min: 1, max: 2, flexible: 1,
			fields: []field{
				structs( // markers
					i64, i16, flag, // producer id, producer epoch, transaction result
					structs( // topics
						str, arrayOf(i32), // name, partition indexes
					),
					i32, i8.since(2), // coordinator epoch, transaction version
				),
			},
		},
		{ // TxnOffsetCommit
			key: 28, min: 0, max: 5, flexible: 3,
			fields: []field{
				str, str, i64, i16, i32.since(3), // transactional id, group id, producer id, producer epoch, generation id
				str.since(3), str.since(3).null(), // member id, group instance id
				structs( // topics
					str, // name
					structs( // partitions
						i32, i64, i32.since(2), // partition index, committed offset, committed leader epoch
						str.null(), // committed metadata
					),
				),
			},
		},
		{ // DescribeProducers
			key: 61, min: 0, max: 0, flexible: 0,
			fields: []field{
				structs( // topics
					str, arrayOf(i32), // name, partition indexes
				),
			},
		},
		{ // DescribeTransactions
			key: 65, min: 0, max: 0, flexible: 0,
			fields: []field{
				arrayOf(str), // transactional ids
			},
		},
		{ // ListTransactions
			key: 66, min: 0, max: 2, flexible: 0,
			fields: []field{
				arrayOf(str), arrayOf(i64), i64.since(1), // state filters, producer id filters, duration filter
				str.since(2).null(), // transactional id pattern
			},
		},
	}
}
