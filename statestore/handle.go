package statestore

// Of returns the typed side of a store that this spec has opened.
func (s *KeyValueSpec[K, V]) Of(store Store) KeyValueStore[K, V] { return store.(KeyValueStore[K, V]) }

// Reader returns the reading side of a store that this spec has opened.
func (s *KeyValueSpec[K, V]) Reader(store Store) ReadOnlyKeyValue[K, V] { return s.Of(store) }

// Of returns the typed side of a store that this spec has opened.
func (s *WindowSpec[K, V]) Of(store Store) WindowStore[K, V] { return store.(WindowStore[K, V]) }

// Reader returns the reading side of a store that this spec has opened.
func (s *WindowSpec[K, V]) Reader(store Store) ReadOnlyWindow[K, V] { return s.Of(store) }

// Of returns the typed side of a store that this spec has opened.
func (s *SessionSpec[K, V]) Of(store Store) SessionStore[K, V] { return store.(SessionStore[K, V]) }

// Reader returns the reading side of a store that this spec has opened.
func (s *SessionSpec[K, V]) Reader(store Store) ReadOnlySession[K, V] { return s.Of(store) }

// Of returns the typed side of a store that this spec has opened.
func (s *VersionedSpec[K, V]) Of(store Store) VersionedStore[K, V] {
	return store.(VersionedStore[K, V])
}

// Reader returns the reading side of a store that this spec has opened.
func (s *VersionedSpec[K, V]) Reader(store Store) ReadOnlyVersioned[K, V] { return s.Of(store) }
