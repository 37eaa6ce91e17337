import CSQLite

/// SQLite as it is before the process opens its first database.
enum SQLiteLibrary {
  /// Keeps SQLite from counting the memory it uses, which nobody asks for: each block that it takes or gives back would lock
  /// the same mutex. Where a database was opened before, nothing changes. See https://www.sqlite.org/malloc.html#memstats.
  static let countsNoMemory: Void = { _ = fairdraw_sqlite3_count_no_memory() }()
}
