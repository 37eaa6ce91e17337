/// A newer program has changed the tables since.
package struct NewerDatabase: Error, Sendable, CustomStringConvertible {
  package init() {}

  package var description: String {
    "its tables are those of a newer version of Fairdraw: start that version, or restore a backup from before the upgrade"
  }
}
