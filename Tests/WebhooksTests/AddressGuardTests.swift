import Ledger
import Testing
import Webhooks

@Suite struct AddressGuardTests {
  @Test(arguments: [
    "127.0.0.1", "127.255.255.254", "0.0.0.0", "0.1.2.3", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1",
    "169.254.169.254", "169.254.0.1", "100.64.0.1", "100.100.100.200", "100.127.255.255", "192.0.0.192", "192.0.2.1",
    "198.18.0.1", "198.51.100.1", "203.0.113.1", "168.63.129.16", "224.0.0.1", "239.255.255.255", "240.0.0.1",
    "255.255.255.255",
    "::", "::1", "::127.0.0.1", "::8.8.8.8", "::ffff:127.0.0.1", "::ffff:10.1.2.3", "::ffff:a9fe:a9fe",
    "64:ff9b::127.0.0.1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "2002:7f00:1::", "2002:a00:1::1", "2002:c0a8:101::",
    "2001:0:102:304::", "2001:db8::1", "3fff::1", "fe80::1", "fec0::1", "fc00::1", "fd00:ec2::254", "ff02::1", "100::1",
    "5f00::1",
  ])
  func isNotPublic(_ text: String) throws {
    let address = try #require(NetworkAddress(text))
    #expect(!AddressGuard.isPublic(address))
    #expect(!AddressGuard(allowsPrivate: false).allows(address))
    #expect(AddressGuard(allowsPrivate: true).allows(address))
  }

  @Test(arguments: [
    "1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "172.15.255.255", "172.32.0.0",
    "192.167.255.255", "192.169.0.0", "169.253.255.255", "126.255.255.255", "128.0.0.0", "223.255.255.255",
    "::ffff:8.8.8.8", "64:ff9b::8.8.8.8", "2002:808:808::1", "2606:4700:4700::1111", "2a00:1450:4001:81b::200e",
  ])
  func isPublic(_ text: String) throws {
    #expect(AddressGuard.isPublic(try #require(NetworkAddress(text))))
  }
}

@Suite struct WebhookURLTests {
  @Test(arguments: [
    ("https://example.com", "https://example.com/", "example.com"),
    ("HTTPS://Example.COM:8443/a?b=c", "https://example.com:8443/a?b=c", "example.com"),
    ("http://192.0.2.1/", "http://192.0.2.1/", "192.0.2.1"),
    ("http://[2001:db8::1]:8080/x", "http://[2001:db8::1]:8080/x", "2001:db8::1"),
  ])
  func isGood(_ text: String, _ normal: String, _ host: String) throws {
    let url = try #require(WebhookURL(text))
    #expect(url.description == normal)
    #expect(url.host == host)
    #expect(WebhookURL(normal) == url)
  }

  @Test(arguments: [
    "", "example.com", "ftp://example.com", "file:///etc/passwd", "http://", "http:///x", "https://user@example.com",
    "https://user:password@example.com", "https://example.com/#top", "https://exa mple.com", "https://example.com:0",
    "https://example.com:65536", "https://exämple.com", "http://[::1", "http://[fe80::1%25eth0]/",
    "http://exa%6dple.com/", "http+unix://socket/", "javascript:alert(1)", "https://example.com\n",
    "https://\\example.com", "https://example.com/" + String(repeating: "a", count: 2048),
  ])
  func isRefused(_ text: String) { #expect(WebhookURL(text) == nil) }
}
