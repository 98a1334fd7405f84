"""Recipes: what their settings tell, how they are changed, and that shipped bundles know them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sercourse import classical, files, recipes
from sercourse.augment import Augmentation
from sercourse.recipes import RECIPES, recipe

BUNDLES = sorted((files.home() / "models").glob("*/bundle.json"))


@pytest.mark.parametrize("path", BUNDLES, ids=lambda path: path.parent.name)
def test_shipped_bundles_tell_the_settings_of_their_recipes(path: Path) -> None:
    for member in json.loads(path.read_text("utf-8"))["members"]:
        told = member["recipe"]
        assert json.loads(json.dumps(recipe(told["name"]).settings)) == told


def test_settings_of_augmentations_are_speeds_and_changes() -> None:
    robust = recipe("svm-robust")
    assert robust.settings["speeds"] == [0.9, 1.1]
    assert len(robust.settings["changes"]) == 4
    assert len(robust.copies) == 6
    assert robust.copies[0].augmentations == (Augmentation("speed", 0.9, 0.9),)
    assert "changes" not in recipe("svm").settings


def test_names_are_unique_and_an_unknown_one_is_refused() -> None:
    assert all(name == each.name for name, each in RECIPES.items())
    assert {f"toolkit-{name}" for name in (*classical.CLASSIFIERS, recipes.RNN)} < RECIPES.keys()
    with pytest.raises(ValueError, match="unknown recipe 'svn': use one of svm-classic"):
        recipe("svn")


def test_the_recipe_of_a_found_setting_holds_it() -> None:
    found = recipes.from_zoo("svc", {"model__C": 30}, feature_set="librosa:mfcc")
    assert "C=30" in found.settings["model"]
    assert found.settings["features"]["name"] == "librosa:mfcc"
    assert found.settings["grid"] == {}


@pytest.mark.parametrize(
    ("name", "feature_set", "wanted"),
    [("svr", "librosa", "no classifier 'svr'"), ("svc", "log-mel", "array of shape")],
)
def test_recipes_that_cannot_be_are_refused(name: str, feature_set: str, wanted: str) -> None:
    with pytest.raises(ValueError, match=wanted):
        recipes.from_zoo(name, feature_set=feature_set)


def test_settings_are_found_in_the_parts_of_a_learner() -> None:
    plain = recipe("aesdd-cnn-3")
    other = recipes.with_settings(plain, seed=2, precision="bfloat16", heads=(5, 2))
    assert (other.name, other.learner.training.seed) == (plain.name, 2)
    assert other.settings["heads"] == [5, 2]
    assert recipes.with_settings(other, seed=0, precision="float32", heads=()) == plain
    assert recipes.has_setting(plain, "precision")
    assert not recipes.has_setting(recipe("svm"), "precision")
    with pytest.raises(ValueError, match="'svm' has no setting 'seed'"):
        recipes.with_settings(recipe("svm"), seed=1)
    with pytest.raises(ValueError, match="is an ensemble"):
        recipes.with_settings(recipe("svm+cnn-lstm"), seed=1)
