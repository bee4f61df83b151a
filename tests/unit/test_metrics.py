from p2psync.metrics import Registry


def lines(registry):
    text = registry.openmetrics()
    assert text.endswith("# EOF\n")
    return text.splitlines()


def test_a_counter_has_a_line_for_every_combination_from_the_start():
    registry = Registry()
    cells = registry.counter("requests", "Requests", via=("http", "udp"), outcome=("ok", "refused"))
    cells["udp", "ok"].value += 2
    assert lines(registry) == [
        "# TYPE requests counter",
        "# HELP requests Requests",
        'requests_total{via="http",outcome="ok"} 0',
        'requests_total{via="http",outcome="refused"} 0',
        'requests_total{via="udp",outcome="ok"} 2',
        'requests_total{via="udp",outcome="refused"} 0',
        "# EOF",
    ]


def test_a_counter_without_labels_is_one_number():
    registry = Registry()
    registry.counter("requests", "Requests")[()].value += 1
    assert "requests_total 1" in lines(registry)


def test_a_gauge_is_read_when_somebody_asks():
    registry, level = Registry(), [1]
    registry.gauge("level", "Level", lambda: level[0])
    level[0] = 7
    assert lines(registry)[:3] == ["# TYPE level gauge", "# HELP level Level", "level 7"]


def test_a_histogram_counts_what_is_at_most_each_bound():
    registry = Registry()
    cell = registry.histogram("seconds", "Seconds", (0.1, 1.0), via=("udp",))["udp",]
    for value in (0.05, 0.1, 0.5, 5.0):
        cell.observe(value)
    cell.observe(0.5, 3)
    assert lines(registry)[2:-1] == [
        'seconds_bucket{via="udp",le="0.1"} 2',
        'seconds_bucket{via="udp",le="1.0"} 6',
        'seconds_bucket{via="udp",le="+Inf"} 7',
        'seconds_count{via="udp"} 7',
        'seconds_sum{via="udp"} 7.15',
    ]


def test_metrics_come_in_the_order_they_were_made():
    registry = Registry()
    registry.gauge("b", "B", lambda: 1)
    registry.gauge("a", "A", lambda: 2)
    assert [line for line in lines(registry) if line[0] != "#"] == ["b 1", "a 2"]
