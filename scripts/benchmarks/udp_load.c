/* Announce to a UDP tracker on loopback (BEP 15), and say how it did, as one JSON object.
 *
 *   udp_load PORT SECONDS SWARMS SOCKETS RATE [PEERS]
 *
 * RATE 0: as fast as answers come, 64 announces under way at a socket, 256 at all of them. Otherwise so many announces a second at even
 * distances, whether answers come or not; latencies count from the moment an announce was due.
 * PEERS: stop after so many announces instead, each of another peer, spread evenly over the swarms.
 * Swarm number i has the info hash i * 0x9E3779B97F4A7C15 mod 2^64 as 8 little-endian bytes, twice, then four zero bytes.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

enum { MAX_FLYING = 256, MAX_SOCKETS = 64, SLOTS = 1 << 20, LOST_AFTER_MS = 250 };

static int sockets[MAX_SOCKETS], flying[MAX_SOCKETS];
static double last_heard[MAX_SOCKETS];
static uint8_t connection_ids[MAX_SOCKETS][8];
static double due_at[SLOTS]; /* by transaction */
static float *latencies;
static long sent, answered, errors, told;
static uint64_t state = 88172645463325252ull;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

static uint64_t chance(void) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

static void put32(uint8_t *place, uint32_t value) {
    value = htonl(value);
    memcpy(place, &value, 4);
}

static int connect_all(int port, int count) {
    struct sockaddr_in tracker = {.sin_family = AF_INET, .sin_port = htons(port)};
    tracker.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    for (int i = 0; i < count; i++) {
        uint8_t packet[16] = {0, 0, 4, 0x17, 0x27, 0x10, 0x19, 0x80}, answer[64];
        int room = 1 << 22;
        sockets[i] = socket(AF_INET, SOCK_DGRAM, 0);
        setsockopt(sockets[i], SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
        if (connect(sockets[i], (struct sockaddr *)&tracker, sizeof tracker)) return 0;
        struct pollfd ready = {.fd = sockets[i], .events = POLLIN};
        int tries = 0;
        do { /* a tracker that still answers another load may lose a packet */
            if (tries++ == 10) return 0;
            send(sockets[i], packet, sizeof packet, 0);
        } while (poll(&ready, 1, 500) <= 0);
        if (recv(sockets[i], answer, sizeof answer, 0) < 16) return 0;
        memcpy(connection_ids[i], answer + 8, 8);
        last_heard[i] = now();
    }
    return 1;
}

static void announce(int i, long swarms, long peers, double due) {
    uint8_t packet[98] = {0};
    uint64_t id = chance();
    uint64_t hash = (peers ? (uint64_t)(sent % swarms) : chance() % (uint64_t)swarms) * 0x9E3779B97F4A7C15ull;
    uint32_t port = peers ? (uint32_t)(1025 + sent / swarms % 64000) : (uint32_t)(1025 + id % 64000);
    memcpy(packet, connection_ids[i], 8);
    put32(packet + 8, 1);
    put32(packet + 12, (uint32_t)sent);
    memcpy(packet + 16, &hash, 8);
    memcpy(packet + 24, &hash, 8);
    memcpy(packet + 36, "-LD0001-", 8);
    memcpy(packet + 44, &id, 8);
    packet[71] = chance() & 3 ? 1 : 0; /* left: one in four is a seed */
    put32(packet + 92, 50);            /* numwant */
    packet[96] = port >> 8;
    packet[97] = port;
    due_at[sent % SLOTS] = due;
    if (send(sockets[i], packet, sizeof packet, 0) > 0) flying[i]++;
    sent++;
}

static void hear(int i) {
    uint8_t answer[4096];
    ssize_t length;
    while ((length = recv(sockets[i], answer, sizeof answer, MSG_DONTWAIT)) > 0) {
        uint32_t transaction;
        memcpy(&transaction, answer + 4, 4);
        last_heard[i] = now();
        if (flying[i] > 0) flying[i]--;
        if (answer[3] != 1 || length < 20) {
            errors++;
            continue;
        }
        latencies[answered % SLOTS] = last_heard[i] - due_at[ntohl(transaction) % SLOTS];
        answered++;
        told += (length - 20) / 6;
    }
}

static int ascending(const void *a, const void *b) {
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv) {
    if (argc < 6) return 2;
    double seconds = atof(argv[2]), rate = atof(argv[5]);
    long swarms = atol(argv[3]), peers = argc > 6 ? atol(argv[6]) : 0;
    int count = atoi(argv[4]), window = count > 4 ? MAX_FLYING / count : 64;
    latencies = malloc(SLOTS * sizeof *latencies);
    if (count > MAX_SOCKETS || !connect_all(atoi(argv[1]), count)) {
        fprintf(stderr, "no answer to connect\n");
        return 1;
    }
    struct pollfd ready[MAX_SOCKETS];
    for (int i = 0; i < count; i++) ready[i] = (struct pollfd){.fd = sockets[i], .events = POLLIN};
    double start = now(), time = start;
    while (time - start < seconds && (!peers || answered + errors < peers)) {
        if (rate > 0)
            for (; sent < (time - start) * rate; ) announce(sent % count, swarms, peers, start + sent / rate);
        else
            for (int i = 0; i < count; i++) {
                if (time - last_heard[i] > LOST_AFTER_MS / 1e3) flying[i] = 0;
                while (flying[i] < window && (!peers || sent < peers + 1000)) announce(i, swarms, peers, now());
            }
        struct timespec pause = {0, rate > 0 ? 100000 : 50000000};
        ppoll(ready, count, &pause, NULL);
        for (int i = 0; i < count; i++) hear(i);
        time = now();
    }
    if (rate > 0) { /* those under way may still come */
        poll(ready, count, 200);
        for (int i = 0; i < count; i++) hear(i);
    }
    long kept = answered < SLOTS ? answered : SLOTS;
    qsort(latencies, kept, sizeof *latencies, ascending);
    printf("{\"answers_per_s\": %.0f, \"sent\": %ld, \"answered\": %ld, \"errors\": %ld, \"peers_told\": %.1f, "
           "\"p50_s\": %.6f, \"p99_s\": %.6f}\n",
           answered / (time - start), sent, answered, errors, answered ? (double)told / answered : 0.0,
           kept ? latencies[kept / 2] : 0.0, kept ? latencies[kept * 99 / 100] : 0.0);
    return 0;
}
