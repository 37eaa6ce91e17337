import Fairness
import Foundation

/// What a witness keeps: its secret key, and for each log the last checkpoint that it cosigned.
///
/// One process at a time has the folder; it is locked until that process ends.
struct WitnessFolder {
  private let folder: URL

  /// Creates the folder if it is not there, and locks it.
  init(_ folder: URL) throws {
    self.folder = folder
    try StorageOptions.make(folder)
    let descriptor = open(folder.path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw Self.failure("the folder \(folder.path) cannot be opened") }
    // The descriptor stays open, and the lock held, as long as the process runs.
    guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
      close(descriptor)
      throw CommandFailure("another process uses the witness's folder \(folder.path)")
    }
  }

  /// The 32 secret bytes of the witness's key, created if there are none.
  func seed() throws -> [UInt8] {
    let file = folder.appendingPathComponent("witness.key")
    if !FileManager.default.fileExists(atPath: file.path) {
      // With a new key it would cosign under another name what it has forgotten.
      let checkpoints = try FileManager.default.contentsOfDirectory(atPath: folder.path).filter {
        $0.hasSuffix(Self.suffix)
      }
      guard checkpoints.isEmpty else {
        throw CommandFailure("the witness's key \(file.path) is not there, but its checkpoints are: put it back")
      }
      try MasterKeyFile.make(file, "witness's key file")
    }
    return try MasterKeyFile.bytes(in: file, "witness's key file")
  }

  /// The last checkpoint that was cosigned for an origin; nil if none was.
  ///
  /// - Throws: ``CommandFailure`` if there is a file that cannot be read: without it the witness must not go on.
  func checkpoint(of origin: String) throws -> Checkpoint? {
    let file = file(of: origin)
    guard FileManager.default.fileExists(atPath: file.path) else { return nil }
    do {
      let checkpoint = try Checkpoint(text: String(contentsOf: file, encoding: .utf8))
      guard checkpoint.origin.utf8.elementsEqual(origin.utf8) else {
        throw CommandFailure("it is of another log, \(checkpoint.origin)")
      }
      return checkpoint
    } catch {
      throw CommandFailure(
        "the last checkpoint of \(origin), \(file.path), cannot be read: \(reason(for: error)). Put back the one that "
          + "was cosigned last; without it two histories could be cosigned")
    }
  }

  /// Keeps a checkpoint as the last of its origin. When it returns, the disk has it.
  func keep(_ checkpoint: Checkpoint) throws(CommandFailure) {
    try DurableFile.write(Array(checkpoint.text.utf8), to: file(of: checkpoint.origin).path)
  }

  private static let suffix = ".checkpoint"

  private func file(of origin: String) -> URL {
    folder.appendingPathComponent(LogDigest(of: Array(origin.utf8)).description + Self.suffix)
  }

  private static func failure(_ what: String) -> CommandFailure {
    CommandFailure("\(what): \(String(cString: strerror(errno)))")
  }
}
