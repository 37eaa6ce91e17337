import Fairness
import Foundation

/// A tiled log (c2sp.org/tlog-tiles) that is read over HTTP.
struct ServedLog: Sendable {
  private let http: HTTPFetch
  let prefix: String
  /// Bundles that are fetched at the same time.
  private static let atOnce = 16

  init(prefix: String) {
    self.prefix = prefix
    http = HTTPFetch(base: prefix, failureStatus: 2)
  }

  /// The newest checkpoint.
  func checkpoint() async throws -> [UInt8] {
    guard let found = try await note("/checkpoint") else {
      throw CommandFailure("\(prefix)/checkpoint answered 404: the log has not begun", status: 2)
    }
    return found
  }

  /// The checkpoint that most witnesses cosigned, which may be older; nil if there is none.
  func cosigned() async throws -> [UInt8]? { try await note("/cosigned") }

  private func note(_ path: String) async throws -> [UInt8]? {
    let answer = try await http.get(path)
    if answer.status == 404 { return nil }
    guard answer.status == 200 else {
      throw CommandFailure("\(prefix)\(path) answered \(answer.status): \(answer.error)", status: 2)
    }
    return answer.body
  }

  /// Hands over entries in order, those of one bundle at a time.
  func read(_ entries: Range<Int>, _ body: (_ first: Int, [[UInt8]]) async throws -> Void) async throws {
    let width = MerkleTile.width
    var next = entries.lowerBound / width
    var fetching: [Task<[[UInt8]], any Error>] = []
    defer { for task in fetching { task.cancel() } }
    var number = next
    while number * width < entries.upperBound {
      while fetching.count < Self.atOnce, next * width < entries.upperBound {
        let (bundle, count) = (next, min(width, entries.upperBound - next * width))
        fetching.append(Task { try await self.bundle(bundle, width: count) })
        next += 1
      }
      let bundle = try await fetching.removeFirst().value
      let first = max(entries.lowerBound, number * width)
      try await body(first, Array(bundle.dropFirst(first - number * width)))
      number += 1
    }
  }

  private func bundle(_ number: Int, width: Int) async throws -> [[UInt8]] {
    let path = LogTilePath(.entries, number: number, width: width)
    let bytes = try await fetch(path)
    let entries: [[UInt8]]
    do throws(LogEntryBundle.Failure) {
      entries = try LogEntryBundle.decode(bytes)
    } catch {
      throw CommandFailure("\(prefix)/\(path) is not a bundle of entries: \(error)", status: 2)
    }
    guard entries.count >= width else {
      throw CommandFailure("\(prefix)/\(path) has only \(entries.count) entries", status: 2)
    }
    return Array(entries.prefix(width))
  }

  /// The hashes of a tile of a log of `size` entries.
  func tile(at place: MerkleTile.Place, size: Int) async throws -> [MerkleHash] {
    let width = min(MerkleTile.width, size >> place.level - place.number * MerkleTile.width)
    let path = LogTilePath(.hashes(level: place.level / MerkleTile.depth), number: place.number, width: width)
    let bytes = try await fetch(path)
    guard MerkleTile.isWhole(bytes) else { throw CommandFailure("\(prefix)/\(path) is not a tile", status: 2) }
    return MerkleTile(place: place, bytes: bytes).hashes
  }

  /// A tile or a bundle; the full one where the log does not keep the part of it.
  private func fetch(_ path: LogTilePath) async throws -> [UInt8] {
    var answer = try await http.get("/\(path)")
    if answer.status == 404, path.width < MerkleTile.width {
      answer = try await http.get("/\(LogTilePath(path.kind, number: path.number))")
    }
    guard answer.status == 200 else {
      throw CommandFailure("\(prefix)/\(path) answered \(answer.status): \(answer.error)", status: 2)
    }
    return answer.body
  }

  /// Whether the tree of a checkpoint begins with the tree of an older one.
  func isConsistent(_ old: Checkpoint, _ new: Checkpoint) async throws -> Bool {
    struct Missing: Error { let place: MerkleTile.Place }
    var tiles: [MerkleTile.Place: [MerkleHash]] = [:]
    while true {
      do {
        let path = try LogTree.consistencyProof(from: old.size, to: new.size) { place in
          guard let tile = tiles[place] else { throw Missing(place: place) }
          return tile
        }
        return LogTree.verifyConsistency(
          from: old.size, to: new.size, oldRoot: old.root, newRoot: new.root, path: path)
      } catch let missing as Missing {
        tiles[missing.place] = try await tile(at: missing.place, size: new.size)
      } catch is LogTree.Failure {
        return false
      }
    }
  }
}
