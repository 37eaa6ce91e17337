import HummingbirdCore
import Ledger
import Synchronization

/// Knows every open connection, and bounds how many there are: in all, and for one address.
///
/// A new connection is let in as long as there is one, of its own address or of the address that has the most, that is
/// idle: that one is closed for it. So connections that nobody uses keep nobody out.
package final class Connections: Sendable {
  package struct Limits: Sendable {
    var total: Int
    var perAddress: Int

    package init(total: Int, perAddress: Int) {
      self.total = total
      self.perAddress = perAddress
    }
  }

  /// One open connection.
  package final class Place: Sendable {
    /// Whether no request is under way.
    package let isIdle = Atomic<Bool>(true)
    /// Whom it counts for; nil for a trusted proxy's.
    let subscriber: [UInt8]?
    private let close: @Sendable () -> Void

    fileprivate init(subscriber: [UInt8]?, close: @escaping @Sendable () -> Void) {
      self.subscriber = subscriber
      self.close = close
    }

    fileprivate func evict() { close() }
  }

  private struct State {
    /// The connections of each address, oldest first; under nil those that no limit for an address holds for.
    var open: [[UInt8]?: [Place]] = [:]
    var total = 0
    var turnedAway = 0
  }

  private let limits: Limits
  private let unlimited: [Network]
  private let state = Mutex(State())

  /// - Parameter unlimited: whose addresses stand for many clients.
  package init(limits: Limits, unlimited: [Network] = []) {
    self.limits = limits
    self.unlimited = unlimited
  }

  /// Lets a connection in, which must be left again; nil if there is no place for it.
  ///
  /// - Parameter close: closes the connection if it is idle; called from anywhere, when its place goes to another.
  package func enter(from address: NetworkAddress?, close: @escaping @Sendable () -> Void) -> Place? {
    let subscriber = address.flatMap { address in
      unlimited.contains { $0.contains(address) } ? nil : address.subscriber
    }
    let place = Place(subscriber: subscriber, close: close)
    let (isIn, evicted) = state.withLock { state -> (Bool, Place?) in
      var evicted: Place?
      if subscriber != nil, (state.open[subscriber]?.count ?? 0) >= limits.perAddress {
        evicted = Self.takeIdle(of: subscriber, &state)
      } else if state.total >= limits.total, let most = state.open.max(by: { $0.value.count < $1.value.count }) {
        evicted = Self.takeIdle(of: most.key, &state)
      } else {
        Self.add(place, &state)
        return (true, nil)
      }
      guard evicted != nil else {
        state.turnedAway += 1
        return (false, nil)
      }
      Self.add(place, &state)
      return (true, evicted)
    }
    evicted?.evict()
    return isIn ? place : nil
  }

  package func leave(_ place: Place) {
    state.withLock { state in
      guard let index = state.open[place.subscriber]?.firstIndex(where: { $0 === place }) else { return }
      Self.remove(at: index, of: place.subscriber, &state)
    }
  }

  private static func add(_ place: Place, _ state: inout State) {
    state.open[place.subscriber, default: []].append(place)
    state.total += 1
  }

  private static func remove(at index: Int, of subscriber: [UInt8]?, _ state: inout State) {
    state.open[subscriber]?.remove(at: index)
    if state.open[subscriber]?.isEmpty == true { state.open[subscriber] = nil }
    state.total -= 1
  }

  private static func takeIdle(of subscriber: [UInt8]?, _ state: inout State) -> Place? {
    guard let places = state.open[subscriber],
      let index = places.firstIndex(where: { $0.isIdle.load(ordering: .relaxed) })
    else { return nil }
    remove(at: index, of: subscriber, &state)
    return places[index]
  }

  package var count: Int { state.withLock { $0.total } }
  /// How many were closed because there was no place.
  package var turnedAway: Int { state.withLock { $0.turnedAway } }
}

/// Stops accepting while more connections are open than there are places, which is so for moments only: until those that
/// were turned away or gave up their place are closed.
struct AcceptanceLimit: AvailableConnectionsDelegate {
  let limit: Int
  private var open = 0

  init(limit: Int) { self.limit = limit }

  mutating func connectionOpened() { open += 1 }
  mutating func connectionClosed() { open -= 1 }
  func isAcceptingNewConnections() -> Bool { open < limit }
}
