package controller

// ProducerIDBlock is the number of producer ids that a broker is given at a time.
const ProducerIDBlock = 1000

// AllocateProducerIDs returns the records that take the next block of producer ids, [first, first+ProducerIDBlock).
func AllocateProducerIDs(im *Image) (records []Record, first int64) {
	first = im.nextProducerID
	return []Record{&ProducerIDs{first + ProducerIDBlock}}, first
}

// Restore builds an image from a snapshot that was taken at an index.
func Restore(index uint64, snapshot []Record) (*Image, error) {
	im, err := Apply(Empty(), snapshot...)
	if err != nil {
		return nil, err
	}
	im.index = index
	return im, im.Check()
}
