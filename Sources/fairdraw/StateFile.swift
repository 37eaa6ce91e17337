import Foundation

/// A file that remembers how far a command has come, replaced as a whole each time.
struct StateFile<State: Codable> {
  let path: String
  private var saved: ContinuousClock.Instant?

  init(_ path: String) { self.path = path }

  /// - Returns: nil if there is no file.
  /// - Throws: ``CommandFailure`` if it cannot be read.
  func load() throws(CommandFailure) -> State? {
    guard FileManager.default.fileExists(atPath: path) else { return nil }
    let bytes = try InputFile.read(path)
    do {
      return try JSONDecoder().decode(State.self, from: Data(bytes))
    } catch {
      throw CommandFailure("\(path) is damaged, or is another program's file: put back the one that this command wrote")
    }
  }

  /// When this returns, the disk has the state.
  mutating func save(_ state: State) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    try DurableFile.write(Array(try encoder.encode(state)) + [UInt8(ascii: "\n")], to: path)
    saved = .now
  }

  /// Saves unless that was done in the last five seconds.
  mutating func saveSometimes(_ state: @autoclosure () -> State) throws {
    if saved.map({ .now - $0 > .seconds(5) }) ?? true { try save(state()) }
  }

  func remove() { unlink(path) }
}
