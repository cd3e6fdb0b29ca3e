"""Feature backbones: pictures to patch features, frozen, behind one small interface."""
