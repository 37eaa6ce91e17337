import API
import Ledger

/// Addresses, blocks of them, and `X-Forwarded-For`: what is read has one spelling, and only trusted proxies are believed.
struct AddressSubject: Subject {
  let name = "address"
  let tokens = [
    "127.0.0.1", "::1", "::ffff:", "2001:db8::", "/24", "/128", ":8080", "[", "]", "%eth0", ",", ", ", "\t", "\"",
    "10.0.0.1", "unknown",
  ]

  private let proxies = TrustedProxies(networks: ["10.0.0.0/8", "fd00::/8"].compactMap { Network($0) })

  func check(_ input: [UInt8]) throws -> Bool {
    let text = String(decoding: input, as: UTF8.self)
    var isValid = false
    if let address = NetworkAddress(text) {
      isValid = true
      try checkSpelling(of: address)
      try expect(!text.utf8.contains(0), "an address with a NUL in it")
      try expect(Network(text)?.contains(address) == true, "an address is not in its own block")
      try expect(NetworkAddress(forwarded: text) == address, "X-Forwarded-For has the address otherwise")
    }
    if let address = NetworkAddress(forwarded: text) {
      isValid = true
      try checkSpelling(of: address)
    }
    if let network = Network(text), let address = text.split(separator: "/").first.flatMap({ NetworkAddress($0) }) {
      isValid = true
      try expect(network.contains(address), "a block does not contain its own address")
    }
    let stranger = NetworkAddress("192.0.2.9")
    try expect(proxies.client(forwardedFor: [text], peer: stranger) == stranger, "a stranger is believed")
    let proxy = NetworkAddress("10.1.2.3")
    let client = proxies.client(forwardedFor: [text], peer: proxy)
    try expect(client != nil, "a proxy's client is nobody")
    // Whoever the proxy appends last is the client, whatever was sent to the proxy.
    let appended = proxies.client(forwardedFor: [text, "198.51.100.7"], peer: proxy)
    try expect(appended == NetworkAddress("198.51.100.7"), "a client has chosen its own address")
    return isValid
  }

  private func checkSpelling(of address: NetworkAddress) throws {
    let text = address.description
    try expect(NetworkAddress(text) == address, "\(text) is another address")
    try expect(NetworkAddress(text)?.description == text, "\(text) is spelled in two ways")
  }
}
