"""Tests of what is calculated and shown, with times made by formulas: python3 -m unittest discover -s scripts/accuracy."""

from __future__ import annotations

import sys

sys.dont_write_bytecode = True

import unittest

import calibrate
import clock
import paper
import table
from cases import ENGINES, FULL, GRIDS, MIDDLE, QUICK, SMALL, Load, Run, runs
from predict import Times
from readings import Reading

RUN = Run(ENGINES[0], SMALL, "bf16", (Load(1, 128),))
STEP, LAYER, RATE = 1e-3, 1e-4, 2e11


def read(*times: float) -> list[clock.Sample]:
    return [(time, False) for time in times]


class Clock(unittest.TestCase):
    def test_disturbed_samples_count_only_where_there_are_no_others(self) -> None:
        self.assertEqual(clock.median([(1.0, False), (1.2, False), (1.1, False), (9.0, True)]), 1.1)
        self.assertEqual(clock.median([(1.0, False), (2.0, True), (3.0, True)]), 2.0)
        self.assertAlmostEqual(clock.scatter(read(1.0, 1.1, 0.8)), 0.1)


class Cases(unittest.TestCase):
    def test_calibration_has_no_shape_of_a_case(self) -> None:
        of_cases = {matrix for grid in (QUICK, FULL) for shape in grid for matrix in calibrate.matrices(shape)}
        heads = {(shape.vocabulary, shape.hidden) for grid in (QUICK, FULL) for shape in grid}
        calibrated = {matrix for shape in calibrate.LAYERS for matrix in calibrate.matrices(shape)}
        self.assertFalse(of_cases & calibrated)
        self.assertNotIn((calibrate.HEAD.vocabulary, calibrate.HEAD.hidden), heads)

    def test_engines_take_turns_and_each_load_is_run_once_by_each(self) -> None:
        order = runs("quick", "cpu")
        self.assertGreater(len({run.engine.name for run in order[:4]}), 2)
        self.assertEqual(len({run.key for run in order}), len(order))
        self.assertEqual({run.engine.device for run in runs("full", "cuda")}, {"cuda"})
        self.assertEqual(set(GRIDS), {"smoke", "quick", "full"})


class Calibration(unittest.TestCase):
    def test_an_engine_that_follows_formulas_is_found_again(self) -> None:
        shallow, deep = (STEP + shape.layers * LAYER for shape in (calibrate.NARROW, calibrate.DEEPER))
        step, layer = calibrate.own_time(shallow, deep)
        self.assertAlmostEqual(step, STEP)
        self.assertAlmostEqual(layer, LAYER)
        shape = calibrate.LAYERS[0]
        work = 2.0 * shape.layers * sum(n * k for n, k in calibrate.matrices(shape))
        took = lambda tokens: STEP + shape.layers * LAYER + tokens * work / RATE
        times = {Load(4, 16): (took(64), took(4)), Load(48, 16, 1): (took(768), float("nan"))}
        points = calibrate.of_layers(shape, times, step + shape.layers * layer, False)
        self.assertEqual(sorted({point["shape"]["m"] for point in points}), [4, 64, 768])
        for point in points:
            self.assertAlmostEqual(point["value"] / RATE, 1.0)
        hidden = calibrate.of_layers(shape, times, took(4), True)
        self.assertEqual({point["shape"]["m"] for point in hidden}, {64, 768})

    def test_rounds_are_pooled(self) -> None:
        calibration, load = calibrate.Calibration([RUN]), calibrate.SHORTEST
        for ttft, tpot in ((1.0, 0.1), (3.0, 0.3), (2.0, 0.2)):
            line = {"ttft": [(ttft, False)], "tpot": [(tpot, False)]}
            calibration.measured.setdefault((calibrate.NARROW, load), Reading()).add(line)
        self.assertEqual(calibration.times(calibrate.NARROW), {load: (2.0, 0.2)})
        self.assertEqual(calibration.times(calibrate.DEEPER), {})
        failed = calibrate.written({"an engine": calibrate.Calibration([RUN], failed="not there")}, 1, "d")
        self.assertEqual((failed.files, failed.failed), ({}, {"an engine": "not there"}))

    def test_attention_is_what_longer_sequences_add(self) -> None:
        element, bandwidth = 2, 1e10
        token = 2 * calibrate.ATTENTION.kv_heads * calibrate.ATTENTION.head_dim * element * calibrate.ATTENTION.layers
        loads = [Load(4, tokens) for tokens in (16, 256)]
        times = {load: (0.0, 1e-3 + load.batch * token * load.context / bandwidth) for load in loads}
        (point,) = calibrate.of_cache(times, loads, element)
        self.assertAlmostEqual(point["value"] / bandwidth, 1.0)
        self.assertEqual(point["at"], loads[1].context)
        self.assertEqual(calibrate.of_prompts({Load(1, 256, 1): (1.0, 0), Load(16, 16, 1): (2.0, 0)}, [Load(1, 256, 1)]), [])


class Tables(unittest.TestCase):
    def test_errors_are_of_predicted_over_measured_and_a_bound_is_beaten_by_the_faster_run(self) -> None:
        cases = [
            table.Case(RUN, load, Reading(read(1.0), read(tpot)), {table.PROFILE: Times(0.9, 0.02)})
            for load, tpot in ((Load(1, 128), 0.025), (Load(4, 128), 0.019))
        ]
        errors = table.of_engine(cases, RUN.engine.name, table.PROFILE, "tpot")
        assert errors
        self.assertAlmostEqual(errors.mape, (0.2 + 1 / 19) / 2)
        self.assertAlmostEqual(errors.bias, (-0.2 + 1 / 19) / 2)
        self.assertAlmostEqual(errors.beaten, 1 / 19)
        self.assertIsNone(table.of_engine(cases, RUN.engine.name, table.ENGINE, "tpot"))
        facts = {"device": "d", "threads": 2, "profile": "p", "datasheet": "", "rounds": 2, "minutes": 1, "engines": {}}
        text = table.markdown(cases, ["an engine: it is not there"], facts)
        self.assertIn("| PyTorch, eager | smollm2-135m | bf16 | 4 | 128 | 136 | 19.0 ms | 0.0% | – | 20.0 ms +5.3% | – |", text)
        self.assertIn("- an engine: it is not there", text)
        self.assertEqual(table.document(cases, [], facts)["errors"][RUN.engine.name]["tpot"][table.PROFILE]["cases"], 2)

    def test_times_have_three_digits(self) -> None:
        self.assertEqual([table.seconds(time) for time in (1.234, 0.1234, 0.01234, 1.234e-5)], ["1.23 s", "123 ms", "12.3 ms", "12.3 µs"])


class Paper(unittest.TestCase):
    def test_a_processor_is_known_by_family_and_model_or_not_at_all(self) -> None:
        cpuinfo = "vendor_id\t: GenuineIntel\ncpu family\t: 6\nmodel\t\t: 143\nflags\t\t: fpu avx512f\nbogomips\t: 4000.00\n\nprocessor\t: 1\n"
        claims = {claim["resource"]: claim["value"] for claim in paper.datasheet(cpuinfo, {"name": "x"}, 2)["datasheet"]}
        self.assertEqual(claims, {"memory.dram.read": 307.2e9, "compute.vector.f32": 256e9})
        self.assertIsNone(paper.datasheet(cpuinfo.replace("143", "1"), {}, 2))


class Shapes(unittest.TestCase):
    def test_a_configuration_has_the_models_numbers(self) -> None:
        config = MIDDLE.config()
        self.assertEqual((config["model_type"], config["num_hidden_layers"], config["vocab_size"]), ("qwen2", 24, 151_936))


if __name__ == "__main__":
    unittest.main()
